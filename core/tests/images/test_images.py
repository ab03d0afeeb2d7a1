"""What images are made of is decided from code, settings and locks, and named by nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dovetail import Environment, Resources, pipeline, step
from dovetail.components import Capability, ContainerRegistry, Credentials, ImageBuilder, Orchestrator, RunControl
from dovetail.errors import ConfigurationError, DefinitionError, PreflightFailed
from dovetail.execution.images import provide_images, write_context
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.planning.images import ImageSpec
from dovetail.planning.planner import Planner, Request
from dovetail.planning.preflight import find_problems, preflight
from dovetail.testing.trial import project_in
from dovetail.values.plan import Plan

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Engine(Orchestrator):
    """Says that it runs images."""

    runs_images: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.ENVIRONMENTS, Capability.ENVIRONMENT_VARIABLES})
    image: str | None = None

    def default_image(self) -> str | None:
        return self.image

    def submit(self, plan: Plan, run: RunControl) -> None:
        raise NotImplementedError


class Builder(ImageBuilder):
    """Remembers what it was asked to build."""

    variant: str = ""

    def __post_init__(self) -> None:
        self._built: dict[str, dict[str, str]] = {}
        self._pushed: list[str] = []

    def traits(self) -> Mapping[str, str]:
        return {"variant": self.variant} if self.variant else {}

    def find(self, reference: str) -> bool:
        return reference in self._built

    def build(self, context: Path, reference: str) -> None:
        self._built[reference] = {path.name: path.read_text() for path in context.iterdir() if path.is_file()}

    def push(self, reference: str, registry: ContainerRegistry) -> None:
        self._pushed.append(reference)

    def versions_in(self, reference: str) -> Mapping[str, str] | None:
        return {"dovetail": "0.0.1"} if reference == "old:1" else {} if reference == "empty:1" else None


class Registry(ContainerRegistry):
    def find(self, reference: str) -> str | None:
        return None

    def credentials(self) -> Credentials | None:
        return None


@step
def dumped(x: int) -> str:
    import yaml

    return yaml.safe_dump(x)


@step
def plain(x: str) -> int:
    return len(x)


@pipeline
def both() -> None:
    plain(dumped(1))


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plans `both` on a stack of these components, with the project's folder as `.folder`."""
    with project_in(tmp_path / "trial", monkeypatch) as project:

        def plan(*components: Any, environment: Environment | None = None, operated: bool = False) -> Plan:
            trial = project.on(LocalArtifactStore(path=tmp_path / "store"), *(components or (Engine(), Builder())))
            chosen = both if environment is None else both.with_options(environment=environment)
            plan.workspace = trial.workspace
            return Planner(trial.workspace, chosen.trace(), Request()).plan()

        plan.folder = tmp_path / "trial"
        yield plan


def specs(plan: Plan) -> list[ImageSpec]:
    return [ImageSpec.from_json(plan.images[str(step.image)]) for step in plan.steps]


def test_an_image_holds_what_the_step_imports_and_dovetail_with_all_that_they_need(planned: Any) -> None:
    import yaml

    spec, _ = specs(planned())
    names = [line.partition("==")[0] for line in spec.pins]
    assert f"pyyaml=={yaml.__version__}" in spec.pins
    assert {"pluggy", "pydantic", "pydantic-core", "blake3"} <= set(names)
    assert names == sorted(names)
    assert spec.open == ()
    assert [name.partition("-")[0] for name, _ in spec.wheels] in (["dovetail"], [])
    assert (spec.base, spec.python) == (f"python:{PYTHON}-slim", PYTHON)


def test_the_reference_is_the_registrys_and_its_tag_the_specs_digest(planned: Any) -> None:
    plan = planned(Engine(), Builder(), Registry(uri="registry.example.com/team"))
    assert plan.steps[0].image == f"registry.example.com/team/dovetail:{specs(plan)[0].tag}"
    again = planned(Engine(), Builder(), Registry(uri="registry.example.com/team"))
    assert [step.image for step in again.steps] == [step.image for step in plan.steps]


def test_another_base_requirement_package_or_trait_is_another_image(planned: Any) -> None:
    plans = [
        planned(),
        planned(environment=Environment(requirements=["no-such-thing==1"])),
        planned(environment=Environment(apt=["git"])),
        planned(environment=Environment(python="3.9")),
        planned(Engine(), Builder(variant="other")),
    ]
    assert len({plan.steps[0].image for plan in plans}) == len(plans)


def test_variables_are_not_part_of_it(planned: Any) -> None:
    plan = planned(environment=Environment(env={"TOKEN": "planted-4711"}))
    assert [step.image for step in plan.steps] == [step.image for step in planned().steps]
    assert "planted-4711" not in json.dumps(plan.images)


def test_a_requirement_that_is_installed_here_is_pinned_with_what_it_needs(planned: Any) -> None:
    import pytest as installed

    [spec, _] = specs(planned(environment=Environment(requirements=["pytest>=8"])))
    assert f"pytest=={installed.__version__}" in spec.pins
    assert any(line.startswith("iniconfig==") for line in spec.pins)


def test_a_requirement_that_is_not_met_here_is_left_to_pip(planned: Any) -> None:
    [spec, _] = specs(planned(environment=Environment(requirements=["no-such-thing>=2", "pyyaml<1"])))
    assert spec.open == ("no-such-thing>=2", "pyyaml<1")
    assert not any(line.startswith("pyyaml==") for line in spec.pins)


def test_a_lock_says_everything_and_dovetail_comes_as_it_is_here(planned: Any) -> None:
    (planned.folder / "pylock.toml").write_text(
        '[[packages]]\nname = "numpy"\nversion = "1.99"\n[[packages.wheels]]\nhashes = { sha256 = "ab" }\n'
        '[[packages]]\nname = "dovetail"\nversion = "0.0.1"\n[[packages]]\nname = "pluggy"\nversion = "1.5.0"\n'
    )
    [spec, _] = specs(planned(environment=Environment(lock="pylock.toml")))
    assert "numpy==1.99 --hash=sha256:ab" in spec.pins
    assert "pluggy==1.5.0" in spec.pins
    assert "dovetail==0.0.1" not in spec.pins


def test_a_lock_in_which_dovetail_could_not_work_is_refused(planned: Any) -> None:
    (planned.folder / "pylock.toml").write_text('[[packages]]\nname = "pydantic"\nversion = "1.10"\n')
    with pytest.raises(ConfigurationError, match=r"locks pydantic 1.10, and dovetail needs pydantic>="):
        planned(environment=Environment(lock="pylock.toml"))


def test_a_locked_version_counts_in_the_cache_key_and_so_does_the_images_python(planned: Any) -> None:
    bases = []
    for version in ("6.0.1", "6.0.2"):
        (planned.folder / "pylock.toml").write_text(f'[[packages]]\nname = "pyyaml"\nversion = "{version}"\n')
        bases.append([step.base for step in planned(environment=Environment(lock="pylock.toml")).steps])
    here = [step.base for step in planned().steps]
    other = [step.base for step in planned(environment=Environment(python="3.9")).steps]
    assert len({bases[0][0], bases[1][0], here[0], other[0]}) == 4
    assert bases[0][1] == bases[1][1] or "pyyaml" in json.dumps(planned().codes[planned().steps[1].code].to_json())


def test_where_nothing_is_said_the_key_is_that_of_a_run_without_images(planned: Any) -> None:
    from dovetail.local.orchestrator import LocalOrchestrator

    assert [step.base for step in planned().steps] == [step.base for step in planned(LocalOrchestrator()).steps]


def test_steps_that_run_in_no_image_get_none(planned: Any) -> None:
    from dovetail.local.orchestrator import LocalOrchestrator

    plan = planned(LocalOrchestrator(), Builder())
    assert ({step.image for step in plan.steps}, dict(plan.images), dict(plan.versions)) == ({None}, {}, {})


def test_a_given_image_is_used_as_it_is(planned: Any) -> None:
    plan = planned(environment=Environment(image="ours:1"))
    assert ({step.image for step in plan.steps}, dict(plan.images)) == ({"ours:1"}, {})
    assert "dovetail" in plan.versions
    default = planned(Engine(image="theirs:1"), Builder())
    assert {step.image for step in default.steps} == {"theirs:1"}
    assert planned(Engine(image="theirs:1"), Builder(), environment=Environment(apt=["git"])).steps[0].image != "theirs:1"


@pytest.mark.parametrize(("image", "said"), [("old:1", "holds dovetail 0.0.1, and the run is planned with dovetail"), ("empty:1", "holds no dovetail")])
def test_a_given_image_with_another_dovetail_is_refused_with_the_cure(planned: Any, image: str, said: str) -> None:
    problems = list(find_problems(planned(environment=Environment(image=image)), planned.workspace))
    assert any(said in problem and "Install dovetail==" in problem for problem in problems), problems


def test_without_a_builder_a_step_is_refused_with_the_cure(planned: Any) -> None:
    plan = planned(Engine())
    with pytest.raises(PreflightFailed, match=r"Step 'dumped' runs in a container image.*--image-builder NAME.*Environment\(image=…\)"):
        preflight(plan, planned.workspace)


def test_what_is_missing_is_built_and_pushed_once(planned: Any) -> None:
    plan = planned(Engine(), Builder(), Registry(uri="registry.example.com"))
    builder = planned.workspace.stack.build(Builder)
    said: list[str] = []
    provide_images(plan, planned.workspace, said.append)
    assert builder._pushed == sorted({step.image for step in plan.steps})
    assert said[0].startswith(f"Building image {builder._pushed[0]}: python:{PYTHON}-slim, Python {PYTHON}, ")
    provide_images(plan, planned.workspace, said.append)
    assert len(builder._built) == len(builder._pushed) // 2, "it was built again, though the builder held it"


def test_a_dockerfile_installs_pins_as_they_are_and_looks_up_the_rest(tmp_path: Path) -> None:
    spec = ImageSpec("base:1", "3.11", "x86_64", ("a==1 --hash=sha256:aa", "b==2", "c @ https://example.com/c.whl"), ("d>=1",), (), ("git", "curl=7"), {})
    write_context(spec, tmp_path, Builder())
    text = (tmp_path / "Dockerfile").read_text()
    assert text.splitlines()[:2] == ["FROM base:1", f"LABEL dovetail.spec={spec.tag}"]
    assert "apt-get install -y --no-install-recommends git curl=7 && rm -rf" in text
    assert "--no-deps --require-hashes -r /opt/dovetail/hashed.txt" in text
    assert "--no-deps -r /opt/dovetail/pins.txt" in text
    assert "-c /opt/dovetail/constraints.txt -r /opt/dovetail/open.txt" in text
    files = {name: (tmp_path / f"{name}.txt").read_text().splitlines() for name in ("hashed", "pins", "open", "constraints")}
    assert files == {
        "hashed": ["a==1 --hash=sha256:aa"], "pins": ["b==2", "c @ https://example.com/c.whl"], "open": ["d>=1"], "constraints": ["a==1", "b==2"]
    }  # fmt: skip


def test_a_spec_comes_back_from_json_as_it_was() -> None:
    spec = ImageSpec("base:1", "3.11", "x86_64", ("a==1",), ("d>=1",), (("w.whl", "00"),), ("git",), {"platform": "linux/arm64"})
    again = ImageSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert (again, again.tag) == (spec, spec.tag)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Environment(python="three"), "no version of Python"),
        (lambda: Environment(lock="uv.lock", pyproject="pyproject.toml"), "Give the lock alone"),
        (lambda: Environment(image="x", apt=["git"]), "used as it is"),
        (lambda: Environment(requirements="numpy"), r"is a list; write it as \['numpy'\]"),
        (lambda: Environment(apt=["git; rm -rf /"]), "no name of a Debian package"),
        (lambda: Resources(gpu_type="l4"), "Add gpu=1"),
        (lambda: Resources(gpu=1, gpu_type=""), "engine's name"),
        (lambda: Resources(disk="much"), "'much' is no amount of disk"),
        (lambda: Resources(disk=-1), "0 or more"),
    ],
)
def test_what_cannot_be_is_told_where_it_is_written(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        make()


def test_resources_name_disks_and_devices() -> None:
    asked = Resources(gpu=2, gpu_type="nvidia-l4", disk="10GiB")
    assert (asked.disk_bytes, asked.gpu_type) == (10 * 2**30, "nvidia-l4")


@step(resources=Resources(gpu=1, gpu_type="l4", disk="1GB"))
def demanding() -> int:
    return 1


@pipeline
def demand() -> None:
    demanding()


def test_a_disk_and_a_type_of_device_are_refused_where_they_cannot_be_had() -> None:
    with pytest.raises(PreflightFailed) as caught:
        demand()
    for setting in ("resources.gpu,", "resources.gpu_type,", "resources.disk,"):
        assert f"sets {setting} which orchestrator" in str(caught.value)
