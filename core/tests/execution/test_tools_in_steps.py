"""What tools that work inside steps go by: when a step begins and ends, from which thread they speak, and what they are told."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from dovetail import RunFailed, get_step_context, log_metrics, log_params, pipeline, step
from dovetail.components import StepRun
from dovetail.testing import in_memory
from dovetail.testing.fakes import FakeTracker
from dovetail.values.names import is_name, nearest_name


class Attending(FakeTracker):
    """Counts how often it was asked to attend, and keeps the step runs that it was told of at their end."""

    ATTENDED: ClassVar[list[str]] = []
    ENDED: ClassVar[list[StepRun]] = []

    @classmethod
    def attend(cls) -> None:
        cls.ATTENDED.append("attended")

    def finish(self, step_run: StepRun) -> None:
        super().finish(step_run)
        self.ENDED.append(step_run)


class NotThere(FakeTracker):
    def start(self, step_run: StepRun) -> None:
        raise ConnectionError("the tool is away")


@step
def silent() -> int:
    assert Attending.ATTENDED
    return 1


@step
def made() -> Annotated[list[int], "numbers"]:
    log_params(rows=3)
    return [1, 2, 3]


@step
def used(numbers: list[int], others: list[list[int]]) -> Annotated[int, "total"]:
    log_metrics(total=sum(numbers))
    return sum(numbers)


@step
def ending(fail: bool = False) -> int:
    context = get_step_context()
    context.at_end(lambda: log_params(second=True))
    context.at_end(lambda: (log_params(first=True), _raise()))
    if fail:
        raise ValueError("no")
    return 1


@step
def speaking_from_elsewhere() -> int:
    """In threads that belong to no step as far as Dovetail can see: they were there before."""
    context = get_step_context()
    done = threading.Event()

    def speak() -> None:
        context.log_params({"rate": 0.5})
        context.log_metrics({"loss": 0.25}, 3)
        context.set_tags({"team": "risk"})
        done.set()

    TASKS.append(speak)
    assert done.wait(10)
    return 1


@step
def keeping(folder: str) -> int:
    context = get_step_context()
    for name in ("plot (1).png", "..hidden"):
        (Path(folder) / name).write_bytes(b"x")
        context.log_file(Path(folder) / name, "plots")
    (Path(folder) / "model").mkdir()
    (Path(folder) / "model" / "weights").write_bytes(b"w")
    context.log_file(Path(folder) / "model", "saved/model")
    context.set_tags({"kept": "yes"})
    return 1


TASKS: list[Any] = []


def _raise() -> None:
    raise RuntimeError("the tool broke")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Attending.ATTENDED.clear()
    Attending.ENDED.clear()
    TASKS.clear()


def test_a_tracker_is_asked_to_attend_before_a_step_that_says_nothing_to_it() -> None:
    @pipeline
    def flow() -> None:
        silent()

    with in_memory(Attending()) as stack:
        flow()
        assert stack.tracker.told == {}


def test_a_tracker_is_told_at_the_end_what_a_step_took_and_gave() -> None:
    @pipeline
    def flow() -> None:
        numbers = made()
        used(numbers, [numbers, numbers])

    with in_memory(Attending()):
        run = flow()
        first, second = Attending.ENDED
        digest = run.steps["made"].outputs["numbers"].digest
        about = {"artifact": "numbers", "version": 1, "digest": digest, "type": "builtins:list", "kind": "data", "uri": run.steps["made"].outputs["numbers"].uri}
        assert (first.inputs, first.outputs) == ({}, {"numbers": about})
        assert second.inputs == {"numbers": [about], "others": [about, about]}
        assert second.outputs["total"]["artifact"] == "total"


def test_a_cached_step_tells_what_it_took_and_gave_too() -> None:
    @pipeline
    def flow() -> None:
        made()

    with in_memory(Attending()):
        flow()
        flow()
        first, again = Attending.ENDED
    assert (again.status, again.outputs) == ("cached", first.outputs)


@pytest.mark.parametrize("fail", [False, True])
def test_what_is_to_be_called_at_the_end_is_called_and_what_it_logs_is_recorded(fail: bool) -> None:
    @pipeline
    def flow() -> None:
        ending(fail)

    with in_memory() as stack:
        if fail:
            with pytest.raises(RunFailed) as caught:
                flow()
            run = caught.value.run
        else:
            run = flow()
        done = run.steps["ending"]
        assert list(done.params) == ["first", "second"]
        assert done.outcome["tracker_errors"] == ["RuntimeError: the tool broke"]
        assert stack.tracker.told["ending"].params == {"first": True, "second": True}


def test_any_thread_speaks_for_a_step_by_its_context() -> None:
    def serve() -> None:
        while not stop.wait(0.01):
            while TASKS:
                TASKS.pop()()

    @pipeline
    def flow() -> None:
        speaking_from_elsewhere()

    stop = threading.Event()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with in_memory() as stack:
            done = flow().steps["speaking_from_elsewhere"]
            assert (done.params, done.metrics, done.metadata) == ({"rate": 0.5}, {"loss": 0.25}, {"team": "risk"})
            assert stack.tracker.told["speaking_from_elsewhere"].metrics == {"loss": [(0.25, 3)]}
    finally:
        stop.set()
        thread.join()


def test_files_become_artifacts_where_the_tracker_is_away_whatever_they_are_called(tmp_path: Path) -> None:
    @pipeline
    def flow(folder: str) -> None:
        keeping(folder)

    with in_memory(NotThere()) as stack:
        run = flow(str(tmp_path))
        done = run.steps["keeping"]
        assert done.metadata == {"kept": "yes"}
        assert done.outcome["tracker_errors"] == ["ConnectionError: the tool is away"]
        kept = {name: Path(stack.client.get_artifact(name).load()) for name in ("flow.keeping.plots.plot _1_.png", "flow.keeping.saved.model")}
        assert kept["flow.keeping.plots.plot _1_.png"].read_bytes() == b"x"
        assert (kept["flow.keeping.saved.model"] / "weights").read_bytes() == b"w"
        assert stack.client.get_artifact("flow.keeping.plots.hidden").load().read_bytes() == b"x"


@pytest.mark.parametrize("text", ["a.b.plot (1).png", "..x", "", "größe" * 100, "con", "a\ud800b", "-x", "x.", "a/b", "nul.txt", "  "])
def test_every_text_has_a_name_near_it(text: str) -> None:
    assert is_name(nearest_name(text))
