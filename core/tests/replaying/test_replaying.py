"""One step of a past run, here, with its own inputs and code, and nothing recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client, RunFailed
from dovetail.errors import ConfigurationError, NotFound
from dovetail.execution.replaying import prepare, replay
from dovetail.ledger.overlay import OverlayStore
from dovetail.ledger.verifying import verify

FLOW = """
from typing import Annotated
from dovetail import log_metrics, pipeline, step

@step
def numbers(count: int) -> Annotated[list[int], "numbers"]:
    return list(range(count))

@step
def total(numbers: list[int], factor: int = 2) -> int:
    log_metrics({"sum": sum(numbers)})
    return sum(numbers) * factor

@pipeline
def adding(count: int = 4):
    total(numbers(count))
"""


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def store(project: Path) -> Path:
    return project / ".dovetail" / "store"


def test_a_step_gives_again_what_it_gave(flow: Any, workspace: Any) -> None:
    run = flow(FLOW).adding(count=5)
    done = replay(prepare(workspace(), run.id, "total"))
    assert (done.value, done.same, done.metrics) == (20, {"output": True}, {"sum": 10.0})
    assert done.outputs["output"]["digest"] == run.steps["total"].outputs["output"].digest


def test_nothing_is_recorded(flow: Any, workspace: Any, store: Path) -> None:
    run = flow(FLOW).adding()
    before = content(store)
    replay(prepare(workspace(), run.id, "total"))
    assert content(store) == before


def test_the_runs_own_code_runs_whatever_the_files_say_now(flow: Any, workspace: Any, project: Path) -> None:
    run = flow(FLOW).adding(count=3)
    (project / "flow.py").write_text("raise RuntimeError('edited since')\n")
    assert replay(prepare(workspace(), run.id, "total")).value == 6
    (project / "flow.py").unlink()
    assert replay(prepare(workspace(), run.id, "total")).value == 6


def test_what_a_step_saves_tags_and_promotes_is_thrown_away(flow: Any, workspace: Any, store: Path) -> None:
    run = flow("""
from dovetail import Client, Model, ModelStage, get_step_context, pipeline, save_artifact, step
@step
def busy() -> int:
    saved = save_artifact([1, 2], "side")
    Client().tag(get_step_context().run, "busy")
    get_step_context().model.promote(ModelStage.PRODUCTION)
    return saved.version
@pipeline(model=Model("m"))
def working():
    busy()
""").working()
    before = content(store)
    done = replay(prepare(workspace(), run.id, "busy"))
    assert done.value == 2, "inside, the step sees what it saves, on top of what is there"
    assert content(store) == before
    assert Client().get_artifact("side").version == 1


def test_a_failed_step_fails_the_same_way(flow: Any, workspace: Any, store: Path) -> None:
    made = flow("""
from dovetail import pipeline, step
@step
def divide(number: int) -> float:
    return 1 / number
@pipeline
def dividing():
    divide(0)
""")
    with pytest.raises(RunFailed) as failure:
        made.dividing()
    before = content(store)
    prepared = prepare(workspace(), failure.value.run.id, "divide")
    assert prepared.status == "failed"
    with pytest.raises(ZeroDivisionError) as raised:
        replay(prepared)
    assert raised.traceback[-1].name == "divide"
    assert content(store) == before


def test_a_cached_step_has_its_inputs_too(flow: Any, workspace: Any) -> None:
    made = flow(FLOW)
    made.adding(count=3)
    run = made.adding(count=3)
    assert run.steps["total"].status == "cached"
    assert replay(prepare(workspace(), run.id, "total")).same == {"output": True}


def test_one_child_of_a_mapped_step_is_replayed_with_its_own_item(flow: Any, workspace: Any) -> None:
    run = flow("""
from dovetail import pipeline, step
@step
def items() -> list[int]:
    return [3, 5, 7]
@step
def square(number: int, plus: int) -> int:
    return number * number + plus
@step
def total(squares: list[int]) -> int:
    return sum(squares)
@pipeline
def mapping():
    total(square.map(items(), plus=1))
""").mapping()
    assert replay(prepare(workspace(), run.id, "square.2")).value == 50
    assert replay(prepare(workspace(), run.id, "total")).value == 9 + 25 + 49 + 3
    with pytest.raises(ConfigurationError, match=r"Step 'square' is mapped: .* Replay one of its children: square.0, square.1, square.2."):
        prepare(workspace(), run.id, "square")
    with pytest.raises(NotFound):
        prepare(workspace(), run.id, "square.9")


FAILS_FIRST = """
from dovetail import pipeline, step
@step
def fine() -> int:
    return 4
@step
def fails() -> int:
    raise ValueError("no")
@step
def needs_fine(number: int) -> int:
    return number + 1
@step
def needs_failed(number: int) -> int:
    return number + 1
@pipeline
def stopping():
    number = fine()
    fails()
    needs_fine.with_options(after=["fails"])(number)
    needs_failed.with_options(after=["needs_fine"])(needs_fine(number, id="late"))
"""


def test_a_step_that_never_ran_is_replayed_with_what_it_would_have_been_given(flow: Any, workspace: Any) -> None:
    with pytest.raises(RunFailed) as failure:
        flow(FAILS_FIRST).stopping()
    run = failure.value.run
    assert run.steps["needs_fine"].status == "skipped"
    done = replay(prepare(workspace(), run.id, "needs_fine"))
    assert (done.value, done.same) == (5, {})


def test_a_step_whose_input_was_never_made_is_refused_with_the_reason(flow: Any, workspace: Any) -> None:
    made = flow("""
from dovetail import pipeline, step
@step
def fails() -> int:
    raise ValueError("no")
@step
def after(number: int) -> int:
    return number
@pipeline
def stopping():
    after(fails())
""")
    with pytest.raises(RunFailed) as failure:
        made.stopping()
    with pytest.raises(ConfigurationError, match=r"Step 'after' never ran, because step 'fails' failed, and its input 'number' was never made"):
        prepare(workspace(), failure.value.run.id, "after")


def test_a_step_or_run_that_is_not_there_is_named(flow: Any, workspace: Any) -> None:
    run = flow(FLOW).adding()
    with pytest.raises(NotFound, match="There is no step 'totl'. Did you mean 'total'?"):
        prepare(workspace(), run.id, "totl")
    with pytest.raises(NotFound, match="There is no run"):
        prepare(workspace(), "0" * 26, "total")


def test_a_step_that_was_defined_inside_a_function_is_refused(flow: Any, workspace: Any) -> None:
    run = flow("""
from dovetail import pipeline, step
def make():
    @step
    def inside() -> int:
        return 1
    return inside
inside = make()
@pipeline
def p():
    inside()
""").p()
    with pytest.raises(ConfigurationError, match="Define it at module level"):
        replay(prepare(workspace(), run.id, "inside"))


def test_the_steps_environment_variables_are_set_and_put_back(flow: Any, workspace: Any) -> None:
    run = flow("""
import os
from dovetail import Environment, pipeline, step
@step(environment=Environment(env={"REPLAYED": "yes"}))
def look() -> str:
    return os.environ["REPLAYED"]
@pipeline
def p():
    look()
""").p()
    assert replay(prepare(workspace(), run.id, "look")).value == "yes"
    assert "REPLAYED" not in os.environ


def test_hooks_are_not_called_and_no_tracker_is_told(flow: Any, workspace: Any, project: Path) -> None:
    stack = "components:\n  orchestrator: {type: local, name: o}\n  artifact_store: {type: local, name: a, configuration: {path: ./kept}}\n"
    stack += "  experiment_tracker: {type: local, name: t, configuration: {path: ./tracked}}\n"
    (project / ".dovetail" / "stacks").mkdir()
    (project / ".dovetail" / "stacks" / "tracking.yaml").write_text(stack)
    (project / ".dovetail" / "active").write_text("tracking")
    run = flow("""
import pathlib
from dovetail import log_metrics, pipeline, step
def hook():
    with pathlib.Path("hooked").open("a") as file:
        file.write("x")
@step(on_start=hook, on_success=hook, on_end=hook)
def tracked() -> int:
    log_metrics({"m": 1})
    return 1
@pipeline
def p():
    tracked()
""").p()
    assert (project / "hooked").read_text() == "xxx"
    before = content(project / "tracked")
    done = replay(prepare(workspace(), run.id, "tracked"))
    assert done.metrics == {"m": 1.0}
    assert (project / "hooked").read_text() == "xxx"
    assert content(project / "tracked") == before != {}


def test_a_step_that_gives_something_else_says_so(flow: Any, workspace: Any, project: Path) -> None:
    (project / "data").write_text("1")
    run = flow("""
import pathlib
from dovetail import pipeline, step
@step
def read() -> str:
    return pathlib.Path("data").read_text()
@pipeline
def p():
    read()
""").p()
    (project / "data").write_text("2")
    done = replay(prepare(workspace(), run.id, "read"))
    assert (done.value, done.same) == ("2", {"output": False})


def test_packages_that_are_otherwise_here_are_noted(flow: Any, workspace: Any, store: Path) -> None:
    pytest.importorskip("numpy")
    run = flow("import numpy\n" + FLOW.replace("return sum(numbers) * factor", "return int(numpy.sum(numbers)) * factor")).adding()
    plan = next(store.glob(f"runs/*/{run.id}/plan.json"))
    record = json.loads(plan.read_text())
    for code in record["codes"].values():
        code["packages"] = {"numpy": "0.0.1", "no-such-package": "3"}
    plan.write_text(json.dumps(record))
    notes = prepare(workspace(), run.id, "total").notes
    assert any(note.startswith("numpy was 0.0.1 and is ") for note in notes)
    assert "no-such-package was 3 and is not installed here" in notes


@pytest.mark.slow
def test_a_model_that_the_step_deploys_does_not_serve_on(flow: Any, workspace: Any) -> None:
    pytest.importorskip("sklearn")
    run = flow("""
from sklearn.dummy import DummyClassifier
from dovetail import Client, pipeline, step
@step
def deploy() -> str:
    model = DummyClassifier(strategy="constant", constant=1).fit([[0], [1]], [0, 1])
    return Client().active_stack.model_deployer.deploy_model(config={"model": model, "model_name": "m"}).name
@pipeline
def p():
    deploy()
""").p()
    (deployment,) = Client().list_deployments()
    deployment.delete()
    seen: list[Any] = []
    prepared = prepare(workspace(), run.id, "deploy")

    def call(function: Callable[..., Any], arguments: Any) -> Any:
        value = function(**arguments)
        seen.extend(Client().list_deployments())
        assert seen[0].status == "running"
        return value

    replay(prepared, call)
    assert seen[0].status == "stopped"
    assert Client().list_deployments() == []


def test_after_a_replay_the_store_is_sound(flow: Any, workspace: Any) -> None:
    run = flow(FLOW).adding()
    replay(prepare(workspace(), run.id, "total"))
    assert verify(Client().ledger).findings == ()


# -- the store that is written aside ----------------------------------------------------------------------------------------


@pytest.fixture
def overlay(workspace: Any, tmp_path: Path) -> OverlayStore:
    opened = workspace()
    cls = opened.registry.component_class("artifact_store", "local")
    lower, upper = cls(path=str(tmp_path / "lower")), cls(path=str(tmp_path / "upper"))
    lower.create("a/below", b"below")
    return OverlayStore(lower=lower, upper=upper)


def test_an_overlay_reads_both_and_writes_the_upper_alone(overlay: OverlayStore, tmp_path: Path) -> None:
    assert overlay.create("a/below", b"other") is False
    assert overlay.create("a/above", b"above") is True
    assert (overlay.read("a/below"), overlay.read("a/above")) == (b"below", b"above")
    assert sorted(entry.name for entry in overlay.scan("a")) == ["above", "below"]
    overlay.overwrite("a/below", b"beaten")
    assert overlay.read("a/below") == b"beaten"
    overlay.delete("a/below")
    assert overlay.read("a/below") == b"below", "what lies below is never hidden"
    assert overlay.stat("a/nothing") is None
    assert content(tmp_path / "lower") == {"a/below": b"below"}


def test_an_overlay_adopts_only_what_neither_has(overlay: OverlayStore, tmp_path: Path) -> None:
    def folder(name: str) -> Path:
        staging = overlay.staging_folder()
        assert staging is not None
        (staging / name).mkdir()
        (staging / name / "x").write_bytes(b"1")
        return staging / name

    assert overlay.adopt(folder("one"), "a") is False
    assert overlay.adopt(folder("two"), "b") is True
    assert overlay.read("b/x") == b"1"
    found = overlay.local_folder("b")
    assert found is not None
    assert found.is_relative_to(tmp_path / "upper")
    below = overlay.local_folder("a")
    assert below is not None
    assert below.is_relative_to(tmp_path / "lower")
    target = tmp_path / "fetched"
    overlay.fetch("a/below", target)
    assert target.read_bytes() == b"below"
    assert abs(overlay.now() - target.stat().st_mtime) < 60
