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
    """Month 3, month 3 again, then month 4."""

    project: Path
    first: Any
    again: Any
    next_month: Any


def run_month(project: Path, month: int, stack: str = "default") -> Any:
    """Runs the script as a user does, and gives the run that it recorded."""
    variables = {**os.environ, "DOVETAIL_STACK": stack}
    done = subprocess.run(
        [sys.executable, "pipeline.py", "--month", str(month)],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Client().list_runs(pipeline="flights", stack=stack, limit=1)[0]


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
        for deployment in Client().active_stack.model_deployer.list_deployments():
            deployment.delete()


@pytest.fixture(scope="module")
def story(project: Path) -> Story:
    return Story(project, run_month(project, 3), run_month(project, 3), run_month(project, 4))


def test_the_first_run_completes_every_step(story: Story) -> None:
    assert story.first.status == "completed"
    assert set(statuses(story.first).values()) == {"completed"}
    assert AFTER_THE_MONTH < set(statuses(story.first))


def test_the_model_tells_late_from_punctual_better_than_chance(story: Story) -> None:
    metrics = story.first.steps["evaluate"].metrics
    assert metrics["auc"] > 0.65
    assert metrics["brier"] < 0.2


def test_a_second_run_is_all_cached(story: Story) -> None:
    assert with_status(story.again, "cached") == set(statuses(story.first))


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
    assert len(answers) == 10
    assert {type(answer["predicted_late"]) for answer in answers} == {bool}


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
    dovetail = Path(sys.executable).parent / "dovetail"
    subprocess.run([dovetail, "stack", "apply", "stacks/side-by-side.yaml"], cwd=story.project, check=True)
    run = run_month(story.project, 3, stack="side-by-side")
    assert set(statuses(run).values()) == {"completed"}
    assert (story.project / "side-by-side" / "store" / "format.json").is_file()
    assert list((story.project / "side-by-side" / "tracker").rglob("evaluate.jsonl"))
    for deployment in Client().get_stack("side-by-side").model_deployer.list_deployments():
        deployment.delete()
