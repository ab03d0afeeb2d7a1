"""Deployments as records: one for the same model and configuration, updated in place, reached from anywhere, shown by the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.cli.application import run as command_line
from dovetail.client.client import Client
from dovetail.components.model_deployer import DeploymentStatus
from dovetail.components.serving.folder import ServingFolder
from dovetail.errors import DefinitionError, DeploymentError, NotFound

MODELS = """
from dataclasses import dataclass


@dataclass
class Times:
    by: int

    def predict(self, rows):
        print(f"asked for {len(rows)}", flush=True)
        return [row * self.by for row in rows]


@dataclass
class Broken:
    by: int
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A project whose default stack is trusted, with models of its own; whatever is deployed there is stopped at the end."""
    import importlib

    root = tmp_path / "project"
    root.mkdir()
    (root / "own_models.py").write_text(MODELS)
    (root / "stack.yaml").write_text(
        "name: trusted\ncomponents:\n  orchestrator: {flavor: local}\n  artifact_store: {flavor: local, configuration: {path: store, trusted: true}}\n"
        "  model_deployer: {flavor: local, name: serving}\n"
    )
    monkeypatch.chdir(root)
    monkeypatch.setenv("DOVETAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DOVETAIL_STACK", raising=False)
    monkeypatch.setenv("DOVETAIL_PROJECT", str(root))
    monkeypatch.syspath_prepend(str(root))
    assert command_line(["init"]) == 0
    assert command_line(["stack", "apply", "stack.yaml"]) == 0
    assert command_line(["stack", "set", "trusted"]) == 0
    sys.modules.pop("own_models", None)
    yield importlib.import_module("own_models")
    for deployment in Client().list_deployments():
        deployment.stop()


def deploy(model: Any, name: str = "times", **more: Any) -> Any:
    return Client().active_stack.model_deployer.deploy_model(config={"model": model, "model_name": name, **more})


def servers(deployment: Any) -> list[dict[str, Any]]:
    return ServingFolder(Path(deployment.record["handle"]["folder"])).workers()


def records(name: str = "times") -> list[int]:
    return Client().ledger.records.numbers(f"deployments/{name}")


def test_the_same_model_and_configuration_is_one_deployment(models: Any) -> None:
    first = deploy(models.Times(2))
    assert first.predict([1, 2]) == [2, 4]
    again = deploy(models.Times(2))
    assert (again.number, again.record["handle"]) == (first.number, first.record["handle"])
    assert records() == [1]


def test_another_model_takes_its_place_at_the_same_address(models: Any) -> None:
    first = deploy(models.Times(2))
    token = first.deployer.token(first.record["handle"])
    second = deploy(models.Times(3))
    assert (second.url, second.number) == (first.url, 2)
    assert second.deployer.token(second.record["handle"]) == token
    assert second.predict([1, 2]) == [3, 6]
    assert (first.status, second.status) == (DeploymentStatus.STOPPED, DeploymentStatus.RUNNING)
    assert [each.number for each in Client().list_deployments()] == [2]
    assert deploy(models.Times(3), replicas=2).number == 3
    assert len(servers(Client().get_deployment("times"))) >= 2


def test_a_model_that_never_gets_healthy_leaves_no_record(models: Any) -> None:
    with pytest.raises(DeploymentError, match=r"cannot be served: it has no predict\(\)"):
        deploy(models.Broken(1))
    assert records() == []
    assert Client().list_deployments() == []
    first = deploy(models.Times(2))
    with pytest.raises(DeploymentError, match=r"(?s)'times' was not updated: .*cannot be served"):
        deploy(models.Broken(1))
    assert records() == [1]
    assert first.status is DeploymentStatus.RUNNING
    assert first.predict([1]) == [2]


DEPLOYING = """
import sys, own_models
from dovetail import Client
deployer = Client().active_stack.model_deployer
print("ready", flush=True)
sys.stdin.readline()
made = deployer.deploy_model(config={"model": own_models.Times(int(sys.argv[1])), "model_name": "times"})
print(made.number, made.url, flush=True)
"""


@pytest.mark.parametrize("bys", [(4, 4), (4, 5)])
def test_processes_that_deploy_at_the_same_moment_leave_one_server(bys: tuple[int, int], models: Any, tmp_path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", DEPLOYING, str(by)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path / "project")})
        for by in bys
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = [process.communicate("go\n")[0].split() for process in started]
    assert len({url for _, url in told}) == 1, "they are one deployment, at one address"
    assert len({number for number, _ in told}) == len(set(bys))
    (deployment,) = Client().list_deployments()
    assert deployment.predict([1])[0] in bys


def test_who_loses_the_claim_takes_what_won_and_leaves_no_server(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.ledger.records import Records

    create = Records.create
    won: list[Any] = []

    def beaten(self: Records, path: str, record: Any) -> bool:
        """Another machine is a little faster, once."""
        if path.startswith("deployments/") and not won:
            won.append(Client().active_stack.model_deployer._deployer)
            other = won[0].start(Deployed.described)
            Deployed.handle = other
            assert create(self, path, {**record, "handle": other})
            Deployed.lost = record["handle"]
            return False
        return bool(create(self, path, record))

    class Deployed:
        described: Any = None
        handle: Any = None
        lost: Any = None

    deployments = Client().active_stack.model_deployer
    digest = Client().ledger.artifacts.save(models.Times(2))[0] if Client().ledger.records.format(create=True) else ""
    Deployed.described = deployments._deployment("times", {"digest": digest, "replicas": 1, "settings": {}})
    monkeypatch.setattr(Records, "create", beaten)
    made = deploy(models.Times(2))
    assert made.record["handle"] == Deployed.handle
    assert won[0].status(Deployed.lost) is DeploymentStatus.STOPPED
    assert made.predict([1]) == [2]


def test_a_deployment_that_was_stopped_or_lost_is_started_anew(models: Any) -> None:
    first = deploy(models.Times(2))
    first.stop()
    second = deploy(models.Times(2))
    assert (second.number, second.status) == (2, DeploymentStatus.RUNNING)
    os.kill(second.record["handle"]["processes"][0]["pid"], signal.SIGKILL)
    while second.status is DeploymentStatus.RUNNING:
        time.sleep(0.02)
    third = deploy(models.Times(2))
    assert (third.number, third.predict([1])) == (3, [2])


FLOW = """
import own_models
from typing import Annotated
from dovetail import Client, Model, pipeline, step


@step
def train() -> Annotated[own_models.Times, "times_model"]:
    return own_models.Times(6)


@step(model_deployer=True)
def serve(model: own_models.Times) -> str:
    return Client().active_stack.model_deployer.deploy_model(config={"model": model, "model_name": "times"}).url


@pipeline(model=Model("multiplier"))
def flow():
    serve(train())
"""


def test_the_record_links_model_version_run_stack_and_deployer(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    Path("own_flow.py").write_text(FLOW)
    sys.modules.pop("own_flow", None)
    run = importlib.import_module("own_flow").flow()
    made = Client().get_deployment("times")
    assert (made.model, made.run, made.stack) == (("multiplier", 1), run.id, "trusted")
    assert made.record["made_by"] == {"run": run.id, "invocation": "serve"}
    assert made.record["component"]["flavor"] == "local"
    from_outside = deploy(Client().get_artifact("times_model"), "outside")
    assert (from_outside.model, from_outside.run) == (("multiplier", 1), None)


@pytest.mark.parametrize("code", [lambda rows: rows, len.__class__, Path("x").exists])
def test_code_is_refused_with_what_can_be_deployed(code: Any, models: Any) -> None:
    with pytest.raises(DefinitionError, match="is code, which cannot be deployed. Give an object whose class"):
        deploy(code)
    assert records() == []


def test_whoever_is_to_ask_over_http_finds_the_token(models: Any) -> None:
    made = deploy(models.Times(2))
    request = urllib.request.Request(f"{made.url}/predict", b'{"instances": [1, 2]}', {"Authorization": f"Bearer {made.deployer.token(made.handle)}"})
    with urllib.request.urlopen(request) as answered:
        assert json.load(answered)["predictions"] == [2, 4]


def test_a_deployment_is_reached_through_the_stack_that_made_it_even_when_that_is_gone(models: Any, tmp_path: Path) -> None:
    deploy(models.Times(2))
    other = Path("other.yaml")
    other.write_text("name: bare\ncomponents:\n  orchestrator: {flavor: local}\n  artifact_store: {flavor: local, configuration: {path: store, trusted: true}}\n")
    assert command_line(["stack", "apply", str(other)]) == 0
    assert command_line(["stack", "set", "bare"]) == 0
    assert Client().get_deployment("times").predict([1]) == [2]
    assert command_line(["stack", "delete", "trusted"]) == 0
    found = Client().get_deployment("times")
    assert found.status is DeploymentStatus.RUNNING
    found.stop()
    assert found.status is DeploymentStatus.STOPPED


@pytest.mark.parametrize("replicas", [0, -1, "2", 1.5, True])
def test_replicas_that_cannot_be_are_refused_before_anything_starts(replicas: Any, models: Any) -> None:
    with pytest.raises(DefinitionError, match="give a whole number from 1 on"):
        deploy(models.Times(2), replicas=replicas)
    assert records() == []


# -- dovetail deployments ---------------------------------------------------------------------------------------------------


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def said(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert command_line(["deployments", *arguments]) == code
        told = capsys.readouterr()
        return told.out + told.err

    return said


def test_the_list_shows_what_is_served_and_how_it_is(models: Any, said: Callable[..., str]) -> None:
    assert "Nothing is deployed" in said("list")
    running, broken = deploy(models.Times(2)), deploy(models.Times(3), "crashed")
    os.kill(broken.record["handle"]["processes"][0]["pid"], signal.SIGKILL)
    rows = {row["name"]: row for row in json.loads(said("list", "--output", "json"))}
    assert rows["times"]["status"] == "running"
    assert rows["times"]["url"] == running.url
    assert (rows["times"]["deployer"], rows["times"]["stack"]) == ("local", "trusted")
    assert rows["crashed"]["status"] == "failed"
    assert "'crashed' has ended by itself" in rows["crashed"]["why"]
    table = said("list")
    assert table.splitlines()[0].split() == ["NAME", "MODEL", "STATUS", "URL", "SINCE", "DEPLOYER", "STACK"]
    assert "'crashed' has ended by itself" in table


def test_one_is_shown_logged_stopped_and_deleted(models: Any, said: Callable[..., str]) -> None:
    deployment = deploy(models.Times(2))
    deployment.predict([1, 2, 3])
    shown = json.loads(said("show", "times", "--output", "json"))
    assert (shown["status"], shown["artifact"], shown["replicas"]) == ("running", deployment.digest, 1)
    assert "asked for 3" in said("logs", "times")
    assert said("logs", "times", "--lines", "1").strip() == "asked for 3"
    said("stop", "times")
    assert json.loads(said("show", "times", "--output", "json"))["status"] == "stopped"
    said("delete", "times")
    assert "Nothing is deployed" in said("list")
    with pytest.raises(NotFound):
        Client().get_deployment("times")
    assert "no deployment 'times'" in said("show", "times", code=2).lower()


def test_a_log_is_followed_until_the_deployment_ends(models: Any) -> None:
    deployment = deploy(models.Times(2))
    following = subprocess.Popen([sys.executable, "-c", "from dovetail.cli import main; main()", "deployments", "logs", "times", "--follow"], stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None
    assert "serves 'times'" in following.stdout.readline()
    deployment.predict([1, 2])
    assert following.stdout.readline() == "asked for 2\n"
    deployment.predict([1, 2])
    assert following.stdout.readline() == "asked for 2\n"
    deployment.stop()
    assert "was told to stop" in following.communicate(timeout=20)[0]
    assert following.returncode == 0


def test_one_that_does_not_answer_does_not_hold_up_the_list(models: Any, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(models.Times(2))
    deploy(models.Times(3), "hanging")
    (worker,) = servers(Client().get_deployment("hanging"))
    os.kill(worker["pid"], signal.SIGSTOP)
    monkeypatch.setattr("dovetail.cli.deployments._PATIENCE", 1.0)
    began = time.monotonic()
    rows = {row["name"]: row for row in json.loads(said("list", "--output", "json"))}
    assert time.monotonic() - began < 4
    assert (rows["times"]["status"], rows["hanging"]["status"]) == ("running", "unknown")
    assert "did not answer within 1 s" in rows["hanging"]["why"]
    os.kill(worker["pid"], signal.SIGCONT)


def test_a_model_that_the_store_cannot_take_is_said_and_leaves_what_serves(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.ledger.artifacts import Artifacts

    before = deploy(models.Times(2))

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Artifacts, "save", full)
        with pytest.raises(DeploymentError, match="cannot be kept in artifact store .*No space left on device.*Make room there"):
            deploy(models.Times(3))
    assert before.predict([1]) == [2]
    assert deploy(models.Times(3)).predict([1]) == [3]
