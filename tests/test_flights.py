"""The flights example from end to end, on its real data, as its README says to use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dovetail import Client

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "flights"
AFTER_THE_MONTH = {
    "ingest",
    "validate",
    "build_features",
    "split",
    "train",
    "evaluate",
    "compare_months",
    "promote",
}


@dataclass(frozen=True)
class Story:
    """Month 3, month 3 again, once more by the command line, then month 4."""

    project: Path
    first: Any
    again: Any
    by_command: Any
    next_month: Any


DOVETAIL = Path(sys.executable).parent / "dovetail"


def run(project: Path, *command: str | Path, stack: str | None = "default") -> str:
    """Runs a command as a user does, and gives what it printed."""
    variables = {**os.environ, **({"DOVETAIL_STACK": stack} if stack else {})}
    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_month(project: Path, month: int, stack: str = "default") -> Any:
    """Runs the script, and gives the run that it recorded."""
    run(project, sys.executable, "pipeline.py", "--month", str(month), stack=stack)
    return newest_run(stack)


def newest_run(stack: str = "default") -> Any:
    return Client(stack).list_runs(pipeline="flights", limit=1)[0]


def statuses(run: Any) -> dict[str, str]:
    return {name: step_run.status.value for name, step_run in run.steps.items()}


def with_status(run: Any, status: str) -> set[str]:
    return {name for name, seen in statuses(run).items() if seen == status}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example in a folder of its own, with stores, index and settings beside it."""
    root = tmp_path_factory.mktemp("flights")
    project = root / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".dovetail"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOVETAIL_HOME", str(root / "home"))
        patch.setenv("DOVETAIL_CACHE", str(root / "cache"))
        patch.delenv("DOVETAIL_STACK", raising=False)
        patch.chdir(project)
        yield project
        for stack in Client().list_stacks():
            for deployment in Client(stack).list_deployments():
                deployment.delete()


@pytest.fixture(scope="module")
def story(project: Path) -> Story:
    first, again = run_month(project, 3), run_month(project, 3)
    run(project, DOVETAIL, "run", "pipeline.py:flights", "--param", "month=3")
    return Story(project, first, again, newest_run(), run_month(project, 4))


def test_the_first_run_completes_every_step(story: Story) -> None:
    assert story.first.status == "completed"
    assert set(statuses(story.first).values()) == {"completed"}
    assert AFTER_THE_MONTH < set(statuses(story.first))


def test_the_model_tells_late_from_punctual_better_than_chance(story: Story) -> None:
    metrics = story.first.steps["evaluate"].metrics
    assert metrics["auc"] > 0.65
    assert metrics["brier"] < 0.2


def test_a_second_run_is_all_cached_and_submits_nothing(story: Story) -> None:
    assert story.again.status == "cached"
    assert with_status(story.again, "cached") == set(statuses(story.first))
    assert {step_run.attempts for step_run in story.again.steps.values()} == {0}


def test_the_command_line_runs_the_same_pipeline_with_the_same_cache(story: Story) -> None:
    assert story.by_command.id != story.again.id
    assert with_status(story.by_command, "cached") == set(statuses(story.first))


def test_a_fully_cached_run_claims_no_model_version(story: Story) -> None:
    versions = [version.version for version in Client().get_model("flight_delay").versions]
    assert sorted(versions) == [1, 2]


def test_another_month_runs_only_what_depends_on_it(story: Story) -> None:
    assert {"prepare_weather", "prepare_planes", "ingest_previous", "build_features_previous"} <= with_status(
        story.next_month, "cached"
    )
    assert with_status(story.next_month, "completed") >= AFTER_THE_MONTH


def test_the_report_names_the_features_that_moved_since_the_month_before(story: Story) -> None:
    step_run = story.first.steps["compare_months"]
    stability = step_run.outputs["stability"].load()
    assert step_run.metadata["moved"][0] == max(stability, key=stability.__getitem__) == "temp"


def test_the_version_in_production_is_the_best_on_the_flights_it_was_judged_by(story: Story) -> None:
    promoted = story.next_month.steps["promote"].outputs["promoted"].load()
    assert Client().get_model_version("flight_delay", "production").version == (2 if promoted else 1)


def test_the_deployed_endpoint_answers(story: Story) -> None:
    answers = story.next_month.steps["ask"].outputs["answers"].load()
    chances = [answer["chance"] for answer in answers]
    assert len(chances) == 10
    assert chances == sorted(chances, reverse=True)
    assert all(0 < chance < 1 for chance in chances)


def test_the_deployment_goes_on_after_the_run(story: Story) -> None:
    flights = story.next_month.steps["split"].outputs["evaluation_data"].load()
    model = Client().get_model_version("flight_delay", "production").get_artifact("delay_model").load()
    deployment = Client().active_stack.model_deployer.get_deployment("flight_delay")
    few = flights.head(20).drop(columns=["day", "late"])
    assert list(deployment.predict(few)) == list(model.predict(few))


def test_a_month_that_does_not_exist_fails_with_one_clear_sentence(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "pipeline.py", "--month", "13"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "There is no month 13; give one from 1 to 12." in done.stderr


def test_the_other_stack_keeps_its_own_records_and_its_own_tracking(story: Story) -> None:
    on_default = len(Client("default").list_runs(limit=None))
    run(story.project, DOVETAIL, "stack", "apply", "stacks/side-by-side.yaml")
    first = run_month(story.project, 3, stack="side-by-side")
    assert set(statuses(first).values()) == {"completed"}
    assert (story.project / "side-by-side" / "store" / "format.json").is_file()
    assert list((story.project / "side-by-side" / "tracker").rglob("evaluate.jsonl"))
    assert len(Client("default").list_runs(limit=None)) == on_default


@pytest.mark.parametrize("chosen_by", ["stack set", "with_options"])
def test_the_stack_is_chosen_without_a_change_to_the_pipeline(story: Story, chosen_by: str) -> None:
    run(story.project, DOVETAIL, "stack", "apply", "stacks/side-by-side.yaml")
    before = [one.id for one in Client("side-by-side").list_runs(limit=None)]
    if chosen_by == "stack set":
        run(story.project, DOVETAIL, "stack", "set", "side-by-side")
        run(story.project, sys.executable, "pipeline.py", "--month", "3", stack=None)
        run(story.project, DOVETAIL, "stack", "set", "default")
    else:
        call = "from pipeline import flights; flights.with_options(stack='side-by-side')(month=3)"
        run(story.project, sys.executable, "-c", call, stack=None)
    newest = newest_run("side-by-side")
    assert newest.id not in before
    assert newest.stack == "side-by-side"
