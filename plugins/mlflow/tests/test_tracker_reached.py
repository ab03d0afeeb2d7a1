"""A server that cannot be reached, or does not take who comes, is told at once and in a sentence."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Secret
from dovetail.errors import PreflightFailed
from dovetail_mlflow.tracker import MlflowTracker

_QUICK = 10.0  # seconds


@pytest.fixture
def nowhere(unused_port: int) -> str:
    return f"http://127.0.0.1:{unused_port}"


def test_a_server_that_is_not_there_is_told_quickly(nowhere: str) -> None:
    started = time.monotonic()
    [problem] = MlflowTracker(tracking_uri=nowhere).called("flour", "mlflow").check()
    assert time.monotonic() - started < _QUICK
    assert problem.startswith(f"Experiment tracker 'flour' cannot reach MLflow at {nowhere}")
    assert "mlflow server" in problem


def test_a_server_that_says_nothing_is_told_quickly() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        [problem] = MlflowTracker(tracking_uri=f"http://127.0.0.1:{silent.getsockname()[1]}").check()
    assert time.monotonic() - started < _QUICK
    assert "cannot reach" in problem


def test_a_run_fails_before_it_starts(project: Any, nowhere: str) -> None:
    with pytest.raises(PreflightFailed, match="cannot reach MLflow") as caught:
        project.on(MlflowTracker(tracking_uri=nowhere)).run(project.training.one)
    assert "on_unreachable: continue" in str(caught.value)


def test_a_run_goes_on_without_it_and_its_record_says_so(project: Any, nowhere: str, astray: Path) -> None:
    started = time.monotonic()
    folder = project.folder / ".dovetail" / "mlflow"
    tracker = MlflowTracker(tracking_uri=nowhere, folder=folder, on_unreachable="continue")
    run = project.on(tracker).run(project.training.chain)
    assert run.status == "completed"
    assert all(nowhere in step.outcome["tracker_errors"][0] for step in run.steps.values())
    assert run.steps["both"].metrics == {"mirrored": 2.0}
    assert time.monotonic() - started < 60
    assert [path.name for path in astray.iterdir()] == ["note.txt"]


def test_plain_calls_are_kept_in_the_project_meanwhile(project: Any, nowhere: str) -> None:
    from mlflow import MlflowClient

    folder = project.folder / ".dovetail" / "mlflow"
    project.on(MlflowTracker(tracking_uri=nowhere, folder=folder, on_unreachable="continue")).run(project.training.one)
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    [found] = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert (found.data.metrics, found.info.status) == ({"loss": 0.5}, "FINISHED")
    assert [each.path for each in client.list_artifacts(found.info.run_id)] == ["notes"]


def test_what_answers_and_is_no_mlflow_is_told(server: Any) -> None:
    [problem] = MlflowTracker(tracking_uri=f"{server.url}/elsewhere").check()
    assert "does not answer as an MLflow server" in problem


def test_a_password_without_its_user_is_told() -> None:
    [problem] = MlflowTracker(tracking_uri="http://127.0.0.1:1", password=Secret("hunter22")).check()
    assert "`username` and `password`" in problem
    assert "hunter22" not in problem


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, server_in: Any) -> Iterator[Any]:
    """A server that asks for a user and a password."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = folder / "auth.ini"
    settings.write_text(
        f"[mlflow]\ndefault_permission = EDIT\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = baker\nadmin_password = sourdough-bread\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    running = server_in(folder, "--app-name", "basic-auth", MLFLOW_AUTH_CONFIG_PATH=str(settings), MLFLOW_FLASK_SERVER_SECRET_KEY="x" * 16)
    yield running
    running.stop()


def test_wrong_credentials_are_told_and_shown_to_nobody(guarded: Any) -> None:
    for given in ({}, {"username": Secret("baker"), "password": Secret("white-bread-3")}, {"token": Secret("rye-bread-7")}):
        started = time.monotonic()
        [problem] = MlflowTracker(tracking_uri=guarded.url, **given).called("flour", "mlflow").check()
        assert time.monotonic() - started < _QUICK
        assert f"'flour' is refused by MLflow at {guarded.url} (401)" in problem
        assert "`username` and `password`, or `token`" in problem
        assert not any(secret in problem for secret in ("white-bread-3", "rye-bread-7"))


def test_right_credentials_reach_the_server_from_steps_alone(project: Any, guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    tracker = MlflowTracker(tracking_uri=guarded.url, username=Secret("baker"), password=Secret("sourdough-bread"))
    assert tracker.check() == []
    run = project.on(tracker).run(project.training.one)
    assert run.steps["plain"].outcome.get("tracker_errors") is None
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "baker")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "sourdough-bread")
    client = MlflowClient(guarded.url)
    found = client.search_runs([each.experiment_id for each in client.search_experiments()], "tags.`dovetail.step` = 'plain'")
    assert [each.data.metrics for each in found] == [{"loss": 0.5}]
