"""The real W&B client against a small server on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import endpoint
import pytest

from dovetail.components import Secret, StepRun
from dovetail.errors import ConfigurationError, PreflightFailed
from dovetail_wandb.tracker import WandbTracker, run_id


@pytest.fixture
def served() -> Iterator[endpoint.Endpoint]:
    with endpoint.serving() as running:
        yield running


def online(url: str, folder: Path, key: str = endpoint.KEY, **more: Any) -> WandbTracker:
    return WandbTracker(project="tests", api_key=Secret(key), base_url=url, dir=folder / "kept", system_metrics=False, **more)


@pytest.fixture
def tracker(served: endpoint.Endpoint, tmp_path: Path) -> WandbTracker:
    return online(served.url, tmp_path)


def identity(run: Any, step: str) -> str:
    return run_id(StepRun(run.id, run.name, run.pipeline, step, step))


def test_runs_arrive_while_steps_run(project: Any, served: endpoint.Endpoint, tracker: WandbTracker) -> None:
    run = project.on(tracker).run(project.steps.chain)
    for step, exit_code in (("data", 0), ("trained", 0)):
        assert served.done[identity(run, step)] == exit_code
    trained = served.runs[identity(run, "trained")]
    assert (trained["groupName"], trained["jobType"], trained["displayName"], trained["project"]) == (run.id, "trained", "trained", "tests")
    assert served.history(identity(run, "trained")) == [{"loss": 0.5, "dovetail/step": 7}, {"accuracy": 0.5, "dovetail/step": 2}]
    assert served.summary(identity(run, "trained"))["dovetail/status"] == "completed"
    assert [step.outcome.get("tracker_errors") for step in run.steps.values()] == [None, None]


def test_lineage_arrives(project: Any, served: endpoint.Endpoint, tracker: WandbTracker) -> None:
    project.on(tracker).run(project.steps.chain)
    assert sum(name == "UseArtifact" for name, _, _ in served.asked) == 1
    made = {artifact["artifactCollectionName"] for artifact in served.artifacts}
    assert {"weights"} < made
    assert len(made) == 2


def test_a_retry_resumes_the_same_run(project: Any, served: endpoint.Endpoint, tracker: WandbTracker) -> None:
    run = project.on(tracker).run(project.steps.retried)
    assert [row["attempt"] for row in served.history(identity(run, "second_time_lucky"))] == [1, 2]
    assert list(served.runs) == [identity(run, "second_time_lucky")]


def test_people_are_led_to_the_run(served: endpoint.Endpoint, tracker: WandbTracker) -> None:
    prepared = tracker.prepare({"id": "r", "name": "r", "pipeline": "p", "tags": []})
    step_run = StepRun("r", "r", "p", "s", "s", prepared=prepared)
    later = tracker.url(step_run)
    tracker.start(step_run)
    try:
        assert tracker.run.url == later == f"{served.url}/team/tests/runs/{run_id(step_run)}"
    finally:
        tracker.finish(replace(step_run, status="completed"))


def test_two_keys_in_one_process_do_not_mix(served: endpoint.Endpoint, tracker: WandbTracker, tmp_path: Path) -> None:
    """Another server refuses this one's key, as a server's test that only its own key was ever shown to it."""
    with endpoint.serving() as other:
        second = online(other.url, tmp_path)
        for number, each in enumerate((tracker, second, tracker, second)):
            step_run = StepRun(f"r{number}", "r", "p", "s", "s")
            each.start(step_run)
            each.log_metrics({"number": number}, None)
            each.finish(replace(step_run, status="completed"))
            where = served if each is tracker else other
            assert where.history(run_id(step_run)) == [{"number": number}]
    assert (len(served.runs), len(other.runs)) == (2, 2)


SESSION = """
import os, sys
from dataclasses import replace
from pathlib import Path
from dovetail.components import Secret, StepRun
from dovetail_wandb.tracker import WandbTracker
(url, folder), key = sys.argv[1:], sys.stdin.read()
before = dict(os.environ)
tracker = WandbTracker(project="tests", api_key=Secret(key), base_url=url, dir=Path(folder), system_metrics=False)
step_run = StepRun("r", "r", "p", "s", "s")
tracker.start(step_run)
tracker.log_metrics({"loss": 1.0}, None)
import wandb
from wandb.sdk.lib import wbauth
assert wbauth.session_credentials(host=url) is None
assert wandb.setup().settings.api_key is None
tracker.finish(replace(step_run, status="completed"))
assert dict(os.environ) == before
assert not Path(os.environ["NETRC"]).exists()
"""


def test_the_key_is_left_neither_in_the_session_nor_in_a_file(served: endpoint.Endpoint, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", SESSION, served.url, str(tmp_path / "kept")]
    done = subprocess.run(command, input=endpoint.KEY, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = b"".join(path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file())
    assert endpoint.KEY.encode() not in written


def test_a_wrong_key_is_found_before_the_run(project: Any, served: endpoint.Endpoint, tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed, match=r"refuses the API key \(401\)"):
        project.on(online(served.url, tmp_path, "x" * 40)).run(project.steps.chain)
    assert served.runs == {}


def test_a_server_that_is_not_there_is_found_before_the_run(project: Any, tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed, match="cannot be reached: .*refused.* `on_unreachable: continue`"):
        project.on(online(_nowhere(), tmp_path)).run(project.steps.chain)


def test_a_run_goes_on_without_wandb_where_that_is_asked(project: Any, tmp_path: Path) -> None:
    trial = project.on(online(_nowhere(), tmp_path, on_unreachable="continue"))
    run = trial.run(project.steps.chain)
    assert run.status == "completed"
    assert "cannot be reached" in run.steps["trained"].outcome["tracker_errors"][0]
    assert trial.run(project.steps.trying).steps["tried"].output.load() == "logged"


def test_no_key_at_all_is_said_with_the_cure(served: endpoint.Endpoint, tmp_path: Path) -> None:
    tracker = WandbTracker(project="tests", base_url=served.url, dir=tmp_path)
    (problem,) = tracker.check()
    assert "WANDB_API_KEY" in problem
    with pytest.raises(ConfigurationError, match="no API key"):
        WandbTracker(project="tests", base_url=served.url, on_unreachable="continue").prepare({"id": "r"})


def test_a_key_of_this_machine_is_found(served: endpoint.Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = WandbTracker(project="tests", base_url=served.url, dir=tmp_path)
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {endpoint.KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert tracker.check() == []
    monkeypatch.setenv("WANDB_API_KEY", "y" * 40)
    assert "refuses" in tracker.check()[0]


def test_what_answers_and_is_no_wandb_server_is_said(tmp_path: Path) -> None:
    import http.server
    import threading

    class Other(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *args: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        (problem,) = online(f"http://127.0.0.1:{server.server_port}", tmp_path).check()
        server.shutdown()
    assert "cannot be reached" in problem


def _nowhere() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
