"""The alerter where people meet it: registered by the real `dovetail`, in a stack file, and told by hooks of real runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from dovetail.testing import Delivered

Dovetail = Callable[..., subprocess.CompletedProcess[str]]
PIPELINE = '''
import os

from dovetail import get_step_context, pipeline, step
from dovetail.hooks import alert_on_failure, alert_on_success


@step
def load(share: float) -> float:
    get_step_context().stack.alerter.post("Drift found", level="warning", fields={"share": share})
    return share


@step
def train(share: float, fail: bool) -> float:
    if fail:
        raise ValueError(f"no rows at {os.environ.get('SLACK_WEBHOOK')}")
    return share


@pipeline(on_failure=alert_on_failure, on_success=alert_on_success)
def nightly(share: float = 0.25, fail: bool = False):
    train(load(share), fail)
'''
STACK = """
name: told
components:
  orchestrator:   {flavor: local, name: here}
  artifact_store: {flavor: local, name: store, configuration: {path: ./store}}
  alerter:        {flavor: slack, name: ops, configuration: {webhook_url: "${SLACK_WEBHOOK}"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".dovetail").mkdir(parents=True)
    (tmp_path / "project" / ".dovetail" / "project.yaml").write_text("name: told\n", encoding="utf-8")
    (tmp_path / "project" / "nightly.py").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "project" / "told.yaml").write_text(STACK, encoding="utf-8")
    return tmp_path / "project"


@pytest.fixture
def dovetail(tmp_path: Path, project: Path, webhook_url: str) -> Dovetail:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DOVETAIL_") and name != "CI"}
    environ |= {"DOVETAIL_HOME": str(tmp_path / "home"), "DOVETAIL_CACHE": str(tmp_path / "cache"), "SLACK_WEBHOOK": webhook_url}

    def run(*arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("dovetail")), *arguments]
        done = subprocess.run(command, cwd=project, env={**environ, **env}, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        assert webhook_url not in done.stdout + done.stderr
        return done

    return run


def test_steps_and_hooks_tell_the_channel_and_nobody_else_the_address(
    dovetail: Dovetail, delivered: Callable[[], Sequence[Delivered]], project: Path, webhook_url: str
) -> None:
    dovetail("stack", "apply", "told.yaml")
    dovetail("run", "nightly.py", "--stack", "told")
    drift, done = delivered()
    assert (drift.text, drift.level, drift.fields) == ("Drift found", "warning", {"share": "0.25"})
    assert (done.title, done.text, done.level, done.fields["stack"]) == ("Pipeline 'nightly' completed", "2 steps are done.", "info", "told")
    dovetail("run", "nightly.py", "--stack", "told", "--param", "fail=true", code=1)
    failed = delivered()[-1]
    assert (failed.title, failed.level) == ("Pipeline 'nightly' failed", "error")
    assert failed.text == "Step 'train' failed: ValueError: no rows at ********"
    secret = webhook_url.rpartition("/")[2].encode()
    assert [path for folder in (project, project.parent / "home") for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()] == []


def test_a_run_that_was_detached_tells_too(dovetail: Dovetail, delivered: Callable[[], Sequence[Delivered]]) -> None:
    dovetail("stack", "apply", "told.yaml")
    dovetail("run", "nightly.py", "--stack", "told", "--param", "fail=true", "--detach")
    until = time.monotonic() + 30
    while len(delivered()) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert [arrived.level for arrived in delivered()] == ["warning", "error"]


def test_a_registered_webhook_goes_to_the_secret_store(dovetail: Dovetail, webhook_url: str) -> None:
    dovetail("alerter", "register", "ops", "--flavor", "slack", f"--webhook-url={webhook_url}")
    (row,) = json.loads(dovetail("alerter", "list", "--output", "json").stdout)
    assert (row["name"], "{{" in row["configuration"]["webhook_url"]) == ("ops", True)
    dovetail("stack", "register", "told", "-o", "default", "-a", "default", "--alerter", "ops")
    dovetail("run", "nightly.py", "--stack", "told")


def test_a_webhook_that_was_deleted_is_found_before_the_first_alert_and_mended_as_it_says(
    dovetail: Dovetail, webhook_url: str, delivered: Callable[[], Sequence[Delivered]]
) -> None:
    dovetail("alerter", "register", "ops", "--flavor", "slack", f"--webhook-url={webhook_url}gone")
    dovetail("stack", "register", "told", "-o", "default", "-a", "default", "--alerter", "ops")
    said = dovetail("stack", "check", "told", code=1)
    assert "404 (no_service)" in said.stdout + said.stderr
    assert "dovetail alerter update ops --webhook-url=…" in said.stdout + said.stderr
    dovetail("alerter", "update", "ops", f"--webhook-url={webhook_url}")
    dovetail("stack", "check", "told")
    assert list(delivered()) == []


def test_a_channel_that_is_out_of_reach_is_told_without_its_address(dovetail: Dovetail) -> None:
    dovetail("stack", "apply", "told.yaml")
    gone: dict[str, Any] = {"SLACK_WEBHOOK": "http://127.0.0.1:9/services/T0123ABCD/B0456EFGH/secretsecret"}
    done = dovetail("run", "nightly.py", "--stack", "told", code=1, **gone)  # its step posts by itself, and so fails
    assert "Alerter 'ops' got no answer from 127.0.0.1" in done.stderr
    assert "secretsecret" not in done.stderr + done.stdout
