"""From a plan to the images that its steps run in: built once, found by everybody, and holding no secret."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import dovetail
from dovetail import Environment
from dovetail.components import Component, Secret
from dovetail.errors import ImageError, PreflightFailed
from dovetail.execution.images import provide_images
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.planning.planner import Planner, Request
from dovetail.planning.preflight import find_problems, preflight
from dovetail.planning.workspace import Workspace
from dovetail.testing.trial import TrialProject
from dovetail.values.plan import Plan
from dovetail_docker.container_registry import OciRegistry
from dovetail_docker.image_builder import DockerImageBuilder
from dovetail_docker.orchestrator import DockerOrchestrator
from dovetail_docker.testing import DockerEngine, installed_image
from index import PASSWORD, WheelIndex


@dataclass
class Kitchen:
    """A project whose pipeline `baking` is planned and has its images made."""

    project: TrialProject
    folder: Path
    components: list[Component]
    said: list[str]

    def on(self, *components: Component) -> Kitchen:
        kinds = {component.component_type for component in components}
        kept = [component for component in self.components if component.component_type not in kinds]
        return Kitchen(self.project, self.folder, [*kept, *components], [])

    def without(self, kind: str) -> Kitchen:
        return Kitchen(self.project, self.folder, [component for component in self.components if component.component_type != kind], [])

    @property
    def module(self) -> Any:
        sys.modules.pop("baking", None)
        importlib.invalidate_caches()
        return importlib.import_module("baking")

    @property
    def workspace(self) -> Workspace:
        return self.project.on(*self.components).workspace

    def plan(self, environment: Environment | None = None, **parameters: Any) -> Plan:
        pipeline = self.module.baking
        chosen = pipeline if environment is None else pipeline.with_options(environment=environment)
        return Planner(self.workspace, chosen.trace(**parameters), Request()).plan()

    def provide(self, plan: Plan) -> list[str]:
        """What it said."""
        said: list[str] = []
        provide_images(plan, self.workspace, said.append)
        return said

    def problems(self, plan: Plan) -> list[str]:
        return list(find_problems(plan, self.workspace))


@pytest.fixture
def kitchen(
    project: TrialProject, tmp_path: Path, engine: DockerEngine, building: dict[str, Any], pushing_to: OciRegistry
) -> Iterator[Kitchen]:
    """Its images are built from one that has most of what they are to hold, which takes seconds."""
    folder = tmp_path / "project"
    building["base"] = installed_image(engine, "dovetail-docker")
    shutil.copy(Path(__file__).with_name("baking.py"), folder / "baking.py")
    orchestrator = DockerOrchestrator(host=engine.host, network="host")
    yield Kitchen(project, folder, [orchestrator, LocalArtifactStore(path=tmp_path / "store"), DockerImageBuilder(**building), pushing_to], [])
    sys.modules.pop("baking", None)


def images(plan: Plan) -> set[str | None]:
    return {step.image for step in plan.steps}


def versions(kitchen: Kitchen, plan: Plan) -> dict[str, str]:
    builder = kitchen.workspace.stack.build(DockerImageBuilder)
    assert builder is not None
    [image] = images(plan)
    found = builder.versions_in(str(image))
    assert found is not None
    return dict(found)


def test_an_image_holds_what_the_step_imports_and_the_very_dovetail_of_the_plan(
    kitchen: Kitchen, engine: DockerEngine, image_builder: DockerImageBuilder
) -> None:
    import yaml

    kitchen = kitchen.on(image_builder)
    plan = kitchen.plan()
    preflight(plan, kitchen.workspace)
    said = kitchen.provide(plan)
    assert [re.sub(r"[\d.]+ s$", "… s", line.replace(str(plan.steps[0].image), "IMAGE")) for line in said] == [
        f"Building image IMAGE: {image_builder.base}, Python {sys.version_info[0]}.{sys.version_info[1]}, {said[0].split()[-2]} distributions",
        "Pushing image IMAGE",
        "Image IMAGE is there after … s",
    ]
    found = versions(kitchen, plan)
    assert found["pyyaml"] == yaml.__version__
    assert {"dovetail": found["dovetail"], "dovetail-docker": found["dovetail-docker"]} == dict(plan.versions)
    here = {path.name: path.read_bytes() for path in Path(dovetail.__file__).parent.glob("*.py")}
    there = engine.client().containers.run(
        str(plan.steps[0].image), ["python", "-c", _READ], network_mode="none", remove=True, environment={"PYTHONIOENCODING": "utf-8"}
    )
    assert json.loads(there) == {name: content.decode() for name, content in here.items()}


_READ = """
import dovetail, json, pathlib
print(json.dumps({path.name: path.read_text() for path in pathlib.Path(dovetail.__file__).parent.glob("*.py")}))
"""


def test_a_pipeline_runs_in_images_that_were_built_for_it(kitchen: Kitchen) -> None:
    run = kitchen.project.on(*kitchen.components).run(kitchen.module.baking)
    assert run.status == "completed", run.error
    assert run.steps["weighed"].output.load() == len("flour: 3\n")


def test_who_comes_later_finds_it_in_the_registry_without_an_engine(kitchen: Kitchen, building: dict[str, Any]) -> None:
    plan = kitchen.plan()
    kitchen.provide(plan)
    away = DockerImageBuilder(**{**building, "host": "unix:///nowhere/docker.sock"})
    other = kitchen.on(away)
    again = other.plan()
    assert images(again) == images(plan)
    assert other.provide(again) == []


def test_without_a_registry_it_is_found_on_the_engine_by_another_client(kitchen: Kitchen, building: dict[str, Any]) -> None:
    alone = kitchen.without("container_registry")
    plan = alone.plan()
    assert str(plan.steps[0].image).startswith("dovetail:")
    alone.provide(plan)
    other = alone.on(DockerImageBuilder(**building))
    assert other.provide(other.plan()) == []


def test_a_changed_line_of_the_project_builds_nothing(kitchen: Kitchen) -> None:
    before = kitchen.plan()
    kitchen.provide(before)
    file = kitchen.folder / "baking.py"
    file.write_text(file.read_text().replace('{"flour": flour}', '{"flour": flour, "water": 2 * flour}'))
    after = kitchen.plan()
    assert after.steps[0].base != before.steps[0].base, "the change was not seen"
    assert images(after) == images(before)
    assert kitchen.provide(after) == []


def test_variables_and_parameters_build_nothing(kitchen: Kitchen) -> None:
    before = images(kitchen.plan())
    assert images(kitchen.plan(Environment(env={"A": "b"}), flour=7)) == before


@pytest.mark.parametrize(
    "environment",
    [Environment(requirements=["iniconfig"]), Environment(apt=["git"]), Environment(python="3.9")],
    ids=["requirement", "apt", "python"],
)
def test_what_an_image_is_made_of_makes_another_image(kitchen: Kitchen, environment: Environment) -> None:
    stated = kitchen.on(DockerImageBuilder(base="python:{python}-slim"))
    assert not images(stated.plan(environment)) & images(stated.plan())


def test_a_lock_decides_every_version_but_dovetails(kitchen: Kitchen, wheels: WheelIndex) -> None:
    (kitchen.folder / "requirements.txt").write_text("PyYAML==6.0.3 ; sys_platform == 'linux'\nno-such-thing==1 ; sys_platform == 'win32'\n")
    plan = kitchen.plan(Environment(lock="requirements.txt"))
    [spec] = plan.images.values()
    assert "pyyaml==6.0.3" in spec["pins"]
    assert not any("no-such-thing" in line for line in (*spec["pins"], *spec["open"]))
    kitchen.provide(plan)
    assert versions(kitchen, plan)["pyyaml"] == "6.0.3"


def test_no_secret_enters_an_image_its_spec_a_plan_or_a_log(kitchen: Kitchen, engine: DockerEngine, capfd: pytest.CaptureFixture[str]) -> None:
    planted = "pl4nted-in-a-variable-3141"
    plan = kitchen.plan(Environment(env={"TOKEN": planted}, requirements=["iniconfig"]))
    provide_images(plan, kitchen.workspace)
    secrets = [PASSWORD, kitchen.workspace.stack.build(OciRegistry).password.reveal()]
    image = engine.client().images.get(str(plan.steps[0].image))
    saved = b"".join(image.save())
    assert b"iniconfig" in saved, "the image's layers were not searched"
    shown = {
        "plan": json.dumps(plan.to_json()),
        "log": "".join(capfd.readouterr()),
        "history": json.dumps([image.history(), image.attrs]),
    }
    for secret in secrets:
        assert secret.encode() not in saved
        assert {where for where, text in shown.items() if secret in text} == set()
    assert planted.encode() not in saved
    assert planted not in json.dumps(plan.images) + shown["log"] + shown["history"]
    if engine.folder is not None:  # what ran the build notes its container's variables in a database of its own, as it does for any container
        found = subprocess.run(["grep", "-rlaF", PASSWORD, str(engine.folder / "data")], capture_output=True, text=True, check=False)
        assert [file for file in found.stdout.splitlines() if not file.endswith("/io.containerd.metadata.v1.bolt/meta.db")] == []


def test_a_build_that_fails_names_the_line_and_shows_no_secret(kitchen: Kitchen) -> None:
    plan = kitchen.plan(Environment(requirements=["no-such-thing-at-all==1"]))
    with pytest.raises(ImageError, match="No matching distribution found for no-such-thing-at-all==1") as caught:
        kitchen.provide(plan)
    assert "open.txt" in str(caught.value).splitlines()[0]
    assert PASSWORD not in str(caught.value)


def test_a_base_image_with_another_python_than_the_step_asks_for_is_refused(kitchen: Kitchen) -> None:
    with pytest.raises(ImageError, match=r"The base image has Python 3\.\d+, and Python 3\.9 is wanted\. Name a base that has it"):
        kitchen.provide(kitchen.plan(Environment(python="3.9")))


def test_a_step_without_an_image_is_refused_with_the_cure(kitchen: Kitchen) -> None:
    bare = kitchen.without("image_builder")
    plan = bare.plan()
    assert images(plan) == {None}
    with pytest.raises(PreflightFailed, match=r"no image builder. Add one: .*--image-builder.*Environment\(image=…\)"):
        preflight(plan, bare.workspace)


def test_preflight_says_that_engine_and_registry_cannot_be_used(kitchen: Kitchen, building: dict[str, Any], pushing_to: OciRegistry) -> None:
    away = DockerImageBuilder(**{**building, "host": "unix:///nowhere/docker.sock"})
    wrong = OciRegistry(uri=pushing_to.uri, username="tester", password=Secret("wr0ng"))
    problems = kitchen.on(away, wrong).problems(kitchen.plan())
    assert any("cannot build" in problem and "does not answer" in problem for problem in problems)
    assert any("answered 401. Check username and password" in problem for problem in problems)


def test_a_given_image_is_used_as_it_is_and_has_to_hold_what_the_plan_names(kitchen: Kitchen, engine: DockerEngine, python_image: str) -> None:
    alone = kitchen.without("container_registry")
    good = alone.plan(Environment(image=installed_image(engine, "dovetail-docker")))
    assert images(good) == {installed_image(engine, "dovetail-docker")}
    assert good.images == {}
    assert alone.problems(good) == []
    bad = alone.plan(Environment(image=python_image))
    problems = alone.problems(bad)
    assert any(problem.startswith(f"Image {python_image} holds no dovetail, and the run is planned with dovetail {good.versions['dovetail']}.") for problem in problems)


def test_a_credential_in_a_requirement_is_refused_and_not_repeated(kitchen: Kitchen) -> None:
    from dovetail.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="holds a credential") as caught:
        kitchen.plan(Environment(requirements=["thing @ https://me:hunter22@example.com/thing-1-py3-none-any.whl"]))
    assert "hunter22" not in str(caught.value)


def test_the_plan_shows_the_image(kitchen: Kitchen) -> None:
    plan = kitchen.plan()
    assert f"image: {plan.steps[0].image}" in str(plan)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).images == plan.images
