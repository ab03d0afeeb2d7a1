"""The flights example through a year, by its one command: watched, trained anew where it has to be, and served all the while."""

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

pytest.importorskip("dovetail_evidently", reason="the year is watched by Evidently")

from dovetail import Client
from dovetail.validation import Verdict

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flights"
MODEL = "flight_delay"
DOVETAIL = Path(sys.executable).parent / "dovetail"


@dataclass(frozen=True)
class Year:
    """What was printed, and the runs of each month."""

    project: Path
    printed: str
    watched: dict[int, Any]
    trained: dict[int, Any]

    def told(self, month: int) -> str:
        """The month's line in the table."""
        return next(line for line in self.printed.splitlines() if line.split()[:1] == [str(month)])


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    root = tmp_path_factory.mktemp("year")
    project = root / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".dovetail", "monitored"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"DOVETAIL_HOME": root / "home", "DOVETAIL_CACHE": root / "cache", "DOVETAIL_STACK": "monitored"}.items():
            patch.setenv(name, str(value))
        patch.chdir(project)
        subprocess.run([DOVETAIL, "stack", "apply", "stacks/monitored.yaml"], check=True, timeout=120)
        try:
            done = subprocess.run([sys.executable, "year.py"], capture_output=True, text=True, check=False, timeout=900, env={**os.environ})
            assert done.returncode == 0, done.stdout + done.stderr
            by_month = [{run.parameters["month"]: run for run in Client().list_runs(pipeline=name, limit=None)} for name in ("watch", "flights")]
            yield Year(project, done.stdout, *by_month)
        finally:
            for deployment in Client().list_deployments():
                deployment.delete()


pytestmark = pytest.mark.timeout(1000)


def test_every_month_but_the_first_is_watched(year: Year) -> None:
    assert sorted(year.watched) == list(range(2, 13))
    assert {run.status.value for run in year.watched.values()} == {"completed"}


def test_the_data_is_compared_with_what_the_model_in_service_was_trained_on(year: Year) -> None:
    for month, run in year.watched.items():
        pinned = Client().get_model_version(MODEL, run.header["pins"][f"{MODEL}@production"])
        assert run.steps["validate_data"].inputs["reference"].digest == pinned.get_artifact("flight_features").digest, month
        assert run.id in {user.id for user in pinned.users}, month


def test_a_model_is_trained_anew_where_it_no_longer_fits_and_nowhere_else(year: Year) -> None:
    judgements = {month: run.steps["judge"].output.load() for month, run in year.watched.items()}
    assert {month for month, judged in judgements.items() if judged["retrain"]} == set(year.trained) - {1}
    assert 2 < len(year.trained) < 12, "either nothing ever moves, or everything always does"
    for month, judged in judgements.items():
        drifted = year.watched[month].steps["validate_data"].outputs["validation"].load().verdict is Verdict.FAIL
        assert drifted == any("drifted_share" in reason for reason in judged["reasons"]), month


def test_what_is_promoted_was_better_on_the_same_flights(year: Year) -> None:
    versions = Client().get_model(MODEL).versions
    decisions = [version.decisions[-1] for version in versions]
    for decision in decisions:
        (gate,) = decision["gates"]
        assert gate["kept"] == ("refused" not in decision)
        assert gate.get("bound") is None or gate["kept"] == (gate["value"] > gate["bound"])
    held = Client().get_model_version(MODEL, "production")
    assert held.version == max(decision["version"] for decision in decisions if "refused" not in decision)


def test_what_serves_is_what_is_in_production_at_the_address_of_the_first_day(year: Year) -> None:
    deployment = Client().get_deployment(MODEL)
    assert deployment.status.value == "running"
    held = Client().get_model_version(MODEL, "production")
    assert deployment.digest == held.get_artifact("delay_model").digest
    assert [each.url for each in held.deployments] == [deployment.url]
    addresses = {run.steps["deploy"].output.load() for run in year.trained.values()}
    assert addresses == {deployment.url}


def test_the_year_is_told_and_drawn(year: Year) -> None:
    assert "first model" in year.told(1)
    for month, run in year.watched.items():
        assert f"{run.steps['judge'].metrics['auc']:.3f}" in year.told(month)
    picture = (year.project / "year.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
    assert Client().get_artifact("year_of_flights").visualizations


def test_a_report_can_be_read_in_a_browser(year: Year) -> None:
    page = year.watched[3].steps["validate_data"].outputs["validation_report"].load()
    assert "<html" in page[:2000].lower()
    assert "temp" in page
