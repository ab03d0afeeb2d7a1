"""The built-in step operator keeps the contract, and the contract finds what is wrong."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dovetail.components import Job, RunningJob
from dovetail.local.step_operator import LocalStepOperator
from dovetail.testing import StepOperatorContract
from dovetail.testing import step_operator as contract


class TestLocalStepOperator(StepOperatorContract):
    @pytest.fixture
    def operator(self) -> LocalStepOperator:
        return LocalStepOperator()


# -- wrong ones, as real ones are --------------------------------------------------------------------------------------


class Wrapped(RunningJob):
    """A job of the operator that works, but for what each wrong one does with it."""

    def __init__(self, job: Job, start: Any) -> None:
        self.job, self.start = job, start
        self.inner: RunningJob = start(job)

    @property
    def address(self) -> str:
        return self.inner.address

    def wait(self, seconds: float) -> int | None:
        return self.inner.wait(seconds)

    def stop(self) -> None:
        self.inner.stop()

    def explain(self) -> str:
        return self.inner.explain()

    def close(self) -> None:
        self.inner.stop()
        self.inner.close()


class Wrong(LocalStepOperator):
    job: ClassVar[type[Wrapped]] = Wrapped

    def start(self, job: Job) -> RunningJob:
        started = self.__dict__.setdefault("_wrapped", {})
        if job.name not in started:
            started[job.name] = self.job(job, super().start)
        return started[job.name]


class SwallowsExitCodes(Wrong):
    """Says that every job that ended was done."""

    caught_by: ClassVar = "test_the_exit_code_is_the_workers"

    class job(Wrapped):
        def wait(self, seconds: float) -> int | None:
            return 0 if self.inner.wait(seconds) is not None else None


class DropsSecrets(Wrong):
    """Hands on what is shown, and forgets what is not."""

    caught_by: ClassVar = "test_variables_and_secrets_arrive_as_they_are"

    def start(self, job: Job) -> RunningJob:
        return super().start(dataclasses.replace(job, secrets={}))


class ByTheShell(Wrong):
    """Lets a shell read the values of variables."""

    caught_by: ClassVar = "test_variables_and_secrets_arrive_as_they_are"

    def start(self, job: Job) -> RunningJob:
        return super().start(dataclasses.replace(job, variables={name: value.replace("\\", "").replace("'", "") for name, value in job.variables.items()}))


class NeverStops(Wrong):
    """Asks the engine to stop a job, which does not."""

    caught_by: ClassVar = "test_a_stopped_job_ends_and_says_so"

    class job(Wrapped):
        def stop(self) -> None:
            pass


class StartsAnother(Wrong):
    """Makes a job whenever it is asked, under a name that the engine gives."""

    caught_by: ClassVar = "test_a_job_that_there_is_already_is_not_started_again"

    def start(self, job: Job) -> RunningJob:
        count = self.__dict__["_count"] = self.__dict__.get("_count", 0) + 1
        return super().start(dataclasses.replace(job, name=f"{job.name}-{count}"))


class ShowsTheEnvironment(Wrong):
    """Explains how a job ended by all that the engine knows of it."""

    caught_by: ClassVar = "test_secrets_show_nowhere"

    class job(Wrapped):
        def explain(self) -> str:
            return f"{self.inner.explain()} {dict(self.job.secrets)}"


class TriesAgain(Wrong):
    """Leaves the engine's own restarts on, as most have them by default."""

    caught_by: ClassVar = "test_a_job_that_failed_is_not_started_again_by_the_engine"

    class job(Wrapped):
        def wait(self, seconds: float) -> int | None:
            code = self.inner.wait(seconds)
            if code and "again" not in self.job.name:
                self.inner.close()
                self.job = dataclasses.replace(self.job, name=f"{self.job.name}-again")
                self.inner = self.start(self.job)
                return None
            return code


class SaysNothing(Wrong):
    """Knows no logs."""

    caught_by: ClassVar = "test_what_it_said_last_is_told"

    class job(Wrapped):
        def explain(self) -> str:
            return ""


_WRONG = [SwallowsExitCodes, DropsSecrets, ByTheShell, NeverStops, StartsAnother, ShowsTheEnvironment, TriesAgain, SaysNothing]


@pytest.mark.parametrize("wrong", _WRONG, ids=lambda wrong: wrong.__name__)
def test_each_wrong_operator_is_caught_by_the_promise_it_breaks(wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promise = getattr(StepOperatorContract, wrong.caught_by)
    for number, cls in enumerate((Wrong, wrong)):
        if cls is wrong:
            monkeypatch.setattr(contract, "_ENDS_WITHIN", 3.0)
        folder = tmp_path / str(number)
        folder.mkdir()
        given = {"self": TestLocalStepOperator(), "operator": cls(), "tmp_path": folder, "code": 75}
        arguments = {name: given[name] for name in inspect.signature(promise).parameters}
        if cls is Wrong:
            promise(**arguments)
        else:
            with pytest.raises(AssertionError):
                promise(**arguments)
