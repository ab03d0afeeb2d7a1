"""What every experiment tracker keeps: all that a step logs arrives, under its own step run, and nothing is left open."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dovetail.client.views import Run
from dovetail.components import ExperimentTracker, Secret, StepRun
from dovetail.ledger import layout
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.contract import Contract
from dovetail.testing.given import alike
from dovetail.testing.trial import TrialProject
from dovetail.values.plan import Status

_MANY = 300


@dataclass(frozen=True)
class Recorded:
    """What the tool knows of one step run.

    `params`: by name, each as it is or as text. `metrics`: (value, step) in the order of logging, by name; a step is None
    where the tool keeps none. `status`: how the step ended as the step run's own `status` says it, None while it is open.
    `files`: their content, by the folder and name they were kept under; `tags`: by name. A tracker that keeps none leaves
    these out; what the tool adds by itself may be there too.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[tuple[float, int | None]]] = field(default_factory=dict)
    status: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def logged(self) -> tuple[Mapping[str, Any], Mapping[str, Sequence[tuple[float, int | None]]], str | None]:
        """What steps say by `log_params` and `log_metrics`, and how they ended: tools add nothing to these."""
        return self.params, self.metrics, self.status


Read = Callable[[StepRun], Recorded]


class ExperimentTrackerContract(Contract):
    """Fixtures: `tracker`, the one to try, and `recorded`, a function that gives what arrived of a step run as `Recorded`."""

    @pytest.fixture
    def begin(self, tracker: ExperimentTracker) -> Callable[..., tuple[ExperimentTracker, StepRun]]:
        """Starts a step run of a new pipeline run on a tracker of its own, as the core does."""

        def begin(name: str = "train", pipeline: str = "contract", **more: Any) -> tuple[ExperimentTracker, StepRun]:
            run_id = more.pop("run_id", None) or layout.new_run_id()
            run: dict[str, Any] = {"id": run_id, "name": f"{pipeline}-{run_id[-6:]}", "pipeline": pipeline, "tags": []}
            own = alike(tracker)
            prepared = more.pop("prepared", None) or own.prepare(run)
            step_run = StepRun(run_id, run["name"], pipeline, name, "train", prepared=prepared, **more)
            own.start(step_run)
            return own, step_run

        return begin

    def test_params_arrive(self, begin: Any, recorded: Read) -> None:
        params = {"rate": 0.5, "depth": 3, "kind": "größe", "shuffle": True, "missing": None, "layers": [64, 32]}
        own, step_run = begin()
        own.log_params({name: params[name] for name in ("rate", "depth")})
        own.log_params({name: params[name] for name in ("kind", "shuffle", "missing", "layers")})
        _finish(own, step_run)
        arrived = recorded(step_run).params
        assert set(arrived) >= set(params)
        assert all(_is_said(arrived[name], value) for name, value in params.items()), arrived

    def test_metrics_arrive_with_their_steps_in_the_order_of_logging(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        for number in range(4):
            own.log_metrics({"loss": 1.0 / (number + 1), "accuracy": number / 4}, number)
        _finish(own, step_run)
        arrived = recorded(step_run).metrics
        assert list(arrived["loss"]) == [(1.0, 0), (0.5, 1), (1 / 3, 2), (0.25, 3)]
        assert list(arrived["accuracy"]) == [(0.0, 0), (0.25, 1), (0.5, 2), (0.75, 3)]

    def test_metrics_without_a_step_arrive(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        own.log_metrics({"score": 0.75}, None)
        _finish(own, step_run)
        assert [value for value, _ in recorded(step_run).metrics["score"]] == [0.75]

    def test_no_metric_of_many_is_dropped(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        for number in range(_MANY):
            own.log_metrics({"loss": float(number)}, number)
        _finish(own, step_run)
        assert [value for value, _ in recorded(step_run).metrics["loss"]] == [float(number) for number in range(_MANY)]

    def test_numbers_that_are_none_lose_no_other_metric(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        for value in (math.nan, math.inf, -math.inf):
            own.log_metrics({"odd": value, "even": 2.0}, None)
        _finish(own, step_run)
        assert [value for value, _ in recorded(step_run).metrics["even"]] == [2.0, 2.0, 2.0]

    def test_names_that_steps_may_have_arrive(self, begin: Any, recorded: Read) -> None:
        for name, pipeline in (("train.0", "größe"), ("a step", "with space"), ("x" * 150, "y" * 150)):
            own, step_run = begin(name=name, pipeline=pipeline)
            own.log_metrics({"val_loss": 0.5, "val loss/a-b.c": 0.25}, None)
            _finish(own, step_run)
            arrived = recorded(step_run)
            assert [arrived.metrics[metric][0][0] for metric in ("val_loss", "val loss/a-b.c")] == [0.5, 0.25]

    def test_files_arrive_as_they_were_when_they_were_handed_over(self, begin: Any, recorded: Read, tmp_path: Path) -> None:
        """Skipped where the tracker does not override `log_artifact`."""
        own, step_run = begin()
        if not _keeps_files(own):
            _finish(own, step_run)
            pytest.skip("it keeps no files: it does not override log_artifact")
        first, report = tmp_path / "größe 1.txt", tmp_path / "report"
        first.write_bytes(b"a note")
        (report / "deep").mkdir(parents=True)
        (report / "index.html").write_bytes(b"<p>")
        (report / "deep" / "data.bin").write_bytes(bytes(range(256)))
        for path, folder in ((first, ""), (first, "plots/early"), (report, "report")):
            own.log_artifact(path, folder)
        first.write_bytes(b"another note")
        _finish(own, step_run)
        expected = {
            "größe 1.txt": b"a note", "plots/early/größe 1.txt": b"a note", "report/index.html": b"<p>", "report/deep/data.bin": bytes(range(256)),
        }  # fmt: skip
        arrived = recorded(step_run).files
        assert {path: arrived.get(path) for path in expected} == expected

    def test_a_file_that_is_kept_again_takes_the_place_of_the_first(self, begin: Any, recorded: Read, tmp_path: Path) -> None:
        """Skipped where the tracker does not override `log_artifact`."""
        own, step_run = begin()
        if not _keeps_files(own):
            _finish(own, step_run)
            pytest.skip("it keeps no files: it does not override log_artifact")
        for content in (b"first", b"second"):
            (tmp_path / "state.bin").write_bytes(content)
            own.log_artifact(tmp_path / "state.bin", "states")
        _finish(own, step_run)
        assert recorded(step_run).files["states/state.bin"] == b"second"

    def test_tags_arrive(self, begin: Any, recorded: Read) -> None:
        """Skipped where the tracker does not override `set_tags`."""
        own, step_run = begin()
        if not _keeps_tags(own):
            _finish(own, step_run)
            pytest.skip("it keeps no tags: it does not override set_tags")
        own.set_tags({"team": "fraud", "kind": "größe"})
        own.set_tags({"team": "risk", "data.version": "7"})
        _finish(own, step_run)
        arrived = recorded(step_run).tags
        expected = {"team": "risk", "kind": "größe", "data.version": "7"}
        assert {name: arrived.get(name) for name in expected} == expected

    def test_how_a_step_ended_arrives(self, begin: Any, recorded: Read) -> None:
        for status in (Status.COMPLETED, Status.FAILED, Status.CACHED):
            own, step_run = begin()
            _finish(own, step_run, status)
            assert recorded(step_run).status == status.value

    def test_a_step_run_is_open_until_it_is_finished(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        own.log_metrics({"loss": 0.5}, 0)
        assert recorded(step_run).status is None
        _finish(own, step_run)
        assert recorded(step_run).status == "completed"

    def test_nothing_of_one_step_run_reaches_the_next(self, begin: Any, recorded: Read, tmp_path: Path) -> None:
        first, first_run = begin(name="first")
        first.log_params({"number": 1})
        first.log_metrics({"loss": 1.0}, 0)
        (tmp_path / "note.txt").write_bytes(b"of the first")
        if _keeps_files(first):
            first.log_artifact(tmp_path / "note.txt", "")
        if _keeps_tags(first):
            first.set_tags({"owner": "first"})
        _finish(first, first_run, Status.FAILED)
        before = recorded(first_run)
        second, second_run = begin(name="second", run_id=first_run.run_id, prepared=first_run.prepared)
        second.log_metrics({"loss": 2.0}, 0)
        _finish(second, second_run)
        assert recorded(first_run) == before
        arrived = recorded(second_run)
        assert arrived.logged == ({}, {"loss": [(2.0, 0)]}, "completed")
        assert ("note.txt" in arrived.files, "owner" in arrived.tags) == (False, False)

    def test_a_step_run_that_nothing_was_logged_to_is_not_left_open(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        _finish(own, step_run)
        other, other_run = begin(name="other")
        other.log_metrics({"loss": 3.0}, 0)
        _finish(other, other_run)
        assert recorded(step_run).logged == ({}, {}, "completed")

    def test_step_runs_at_once_do_not_mix(self, begin: Any, recorded: Read, tracker: ExperimentTracker) -> None:
        """In one process, unless the tracker says that it needs one to itself."""
        opened = []
        for name in ("first", "second", "third"):
            opened.append(begin(name=name))
            if tracker.process_wide_state:
                _log_number(*opened[-1])
        for own, step_run in opened if not tracker.process_wide_state else ():
            _log_number(own, step_run)
        for _, step_run in opened:
            arrived = recorded(step_run)
            assert arrived.params == {"name": step_run.name}
            assert [value for value, _ in arrived.metrics["length"]] == [float(len(step_run.name))]
            assert arrived.status == "completed"

    def test_a_retry_goes_on_where_the_first_attempt_ended(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        own.log_metrics({"loss": 9.0}, 0)
        _finish(own, step_run, Status.FAILED)
        again = replace(step_run, attempt=2)
        second, _ = begin(run_id=step_run.run_id, prepared=step_run.prepared, attempt=2)
        second.log_metrics({"loss": 1.0}, 0)
        _finish(second, again)
        arrived = recorded(again)
        assert arrived.status == "completed"
        assert (1.0, 0) in list(arrived.metrics["loss"])

    def test_a_param_that_is_logged_again_harms_nothing(self, begin: Any, recorded: Read) -> None:
        own, step_run = begin()
        own.log_params({"rate": 0.5})
        own.log_params({"rate": 0.5, "depth": 3})
        _finish(own, step_run)
        assert _is_said(recorded(step_run).params["depth"], 3)

    def test_what_is_logged_is_left_as_it_was_given(self, begin: Any) -> None:
        """It is the step's own: it goes on with it, and the record keeps it."""
        params, metrics, tags = {"rate": 0.5, "layers": [64, 32]}, {"loss": 0.25}, {"team": "fraud"}
        own, step_run = begin()
        own.log_params(params)
        own.log_metrics(metrics, 0)
        if _keeps_tags(own):
            own.set_tags(tags)
        _finish(own, step_run)
        assert (params, metrics, tags) == ({"rate": 0.5, "layers": [64, 32]}, {"loss": 0.25}, {"team": "fraud"})

    def test_nothing_is_left_in_the_process_once_it_is_finished(self, begin: Any) -> None:
        """Neither a variable nor another working folder: the next step, and the caller's own use of the tool, would find them."""
        own, step_run = begin(name="before")  # what the tool sets up once for the process is there from here on
        _finish(own, step_run)
        before = dict(os.environ), Path.cwd()
        own, step_run = begin(name="after")
        own.log_metrics({"loss": 0.5}, 0)
        _finish(own, step_run, Status.FAILED)
        assert (dict(os.environ), Path.cwd()) == before

    def test_it_shows_its_secrets_to_nobody(self, tracker: ExperimentTracker, begin: Any) -> None:
        """What is prepared lies in the run's record, and the URL is on everybody's screen."""
        own, step_run = begin()
        shown = f"{own!r} {own} {own.configuration()} {own.url(step_run)} {json.dumps(step_run.prepared)}"
        _finish(own, step_run)
        secrets = [value.reveal() for value in tracker.configuration().values() if isinstance(value, Secret)]
        assert [secret[:4] + "…" for secret in secrets if secret and secret in shown] == []

    def test_what_is_prepared_for_a_run_is_small_json(self, tracker: ExperimentTracker) -> None:
        prepared = tracker.prepare({"id": layout.new_run_id(), "name": "run", "pipeline": "contract", "tags": ["a"]})
        assert json.loads(json.dumps(prepared)) == prepared
        assert len(json.dumps(prepared)) < 10_000

    def test_a_person_is_led_to_the_step_run_or_nowhere(self, begin: Any) -> None:
        own, step_run = begin()
        url = own.url(step_run)
        _finish(own, step_run)
        assert url is None or url.partition("://")[0] in ("http", "https", "file"), url

    def test_its_own_check_finds_nothing_wrong(self, tracker: ExperimentTracker) -> None:
        assert tracker.check() == []

    def test_the_steps_of_a_pipeline_are_mirrored(
        self, tracker: ExperimentTracker, recorded: Read, project: TrialProject, tmp_path: Path
    ) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), tracker)
        run = trial.run(project.pipelines.tracked)
        assert [step.outcome.get("tracker_errors") for step in run.steps.values() if step.outcome] == [None, None]
        for name, value in (("first", 1), ("second", 2)):
            arrived = recorded(_step_run(run, name))
            assert _is_said(arrived.params["value"], value)
            assert [loss for loss, _ in arrived.metrics["loss"]] == [1.0, 0.5, 1 / 3]
            assert arrived.status == "completed"

    def test_a_failed_step_of_a_pipeline_is_mirrored_as_failed(
        self, tracker: ExperimentTracker, recorded: Read, project: TrialProject, tmp_path: Path
    ) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), tracker)
        run = trial.run(project.pipelines.tracked.with_options(failure_policy="continue"), fail=True)
        arrived = recorded(_step_run(run, "failing_after_logging"))
        assert (arrived.status, [loss for loss, _ in arrived.metrics["loss"]]) == ("failed", [0.125])

    def test_a_cached_step_is_mirrored_again_as_cached(
        self, tracker: ExperimentTracker, recorded: Read, project: TrialProject, tmp_path: Path
    ) -> None:
        trial = project.on(LocalOrchestrator(), LocalArtifactStore(path=tmp_path / "store"), tracker)
        first, second = trial.run(project.pipelines.tracked), trial.run(project.pipelines.tracked)
        before, after = recorded(_step_run(first, "first")), recorded(_step_run(second, "first"))
        assert after.logged == replace(before, status="cached").logged


def _step_run(run: Run, name: str) -> StepRun:
    """The step run as its tracker was told of it."""
    started = run.query.ledger.run(run.id).started() or {}
    prepared = started.get("prepared", {}).get("experiment_tracker")
    return StepRun(run.id, run.name, run.pipeline, name, name, stack=run.stack, prepared=prepared)


def _finish(tracker: ExperimentTracker, step_run: StepRun, status: Status = Status.COMPLETED) -> None:
    tracker.finish(replace(step_run, status=status.value))


def _keeps_files(tracker: ExperimentTracker) -> bool:
    return type(tracker).log_artifact is not ExperimentTracker.log_artifact


def _keeps_tags(tracker: ExperimentTracker) -> bool:
    return type(tracker).set_tags is not ExperimentTracker.set_tags


def _log_number(tracker: ExperimentTracker, step_run: StepRun) -> None:
    tracker.log_params({"name": step_run.name})
    tracker.log_metrics({"length": float(len(step_run.name))}, None)
    _finish(tracker, step_run)


def _is_said(arrived: Any, value: Any) -> bool:
    """Whether it is the value, or a text of it: many tools keep nothing else."""
    return bool(arrived == value) or arrived in (str(value), json.dumps(value), json.dumps(value, ensure_ascii=False))
