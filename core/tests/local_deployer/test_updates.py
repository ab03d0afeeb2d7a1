"""Updates in place: no request is lost, address and token stay, and what never gets healthy changes nothing."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dovetail.components.model_deployer import Deployment, DeploymentStatus
from dovetail.components.serving.folder import ServingFolder
from dovetail.errors import DeploymentError
from dovetail.local.model_deployer import LocalModelDeployer
from dovetail.values.processes import is_alive

Deploy = Callable[..., dict[str, Any]]
Describe = Callable[..., Deployment]
Servers = Callable[[], set[int]]


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def folder_of(handle: dict[str, Any]) -> ServingFolder:
    return ServingFolder(Path(handle["folder"]))


class Client(threading.Thread):
    """Asks on one connection as long as that stays open, or on a `fresh` one each time; `pause`: seconds between."""

    def __init__(self, url: str, token: str, *, fresh: bool = False, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.address = urlsplit(url)
        self.token, self.fresh, self.pause = token, fresh, pause
        self.over = threading.Event()
        self.answers: list[Any] = []
        self.lost: list[str] = []
        self.closed = 0

    def run(self) -> None:
        connection = self._connection()
        while not self.over.is_set():
            try:
                connection.request("POST", "/predict", '{"instances": [1]}', {"Authorization": f"Bearer {self.token}"})
                answer = connection.getresponse()
                told = json.loads(answer.read())
                self.answers.append(told["predictions"])
            except (OSError, http.client.HTTPException, KeyError) as error:
                self.lost.append(repr(error))
                connection.close()
                connection = self._connection()
                continue
            self.closed += answer.headers.get("connection") == "close"
            if self.fresh:
                connection.close()
            time.sleep(self.pause)
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=30)


@contextmanager
def clients(deployer: LocalModelDeployer, handle: dict[str, Any]) -> Iterator[list[Client]]:
    token = deployer.token(handle)
    kinds: list[dict[str, Any]] = [{}, {}, {"fresh": True}, {"pause": 0.3}, {"pause": 2.0}]
    started = [Client(handle["url"], token, **kind) for kind in kinds]
    for client in started:
        client.start()
    try:
        yield started
    finally:
        for client in started:
            client.over.set()
        for client in started:
            client.join()


def test_not_one_request_is_lost_in_updates_under_load(describe: Describe, deploy: Deploy, servers_of: Servers) -> None:
    deployer = LocalModelDeployer()
    first = deploy(describe("Where", replicas=2), deployer)
    handle, pids = first, set()
    with clients(deployer, first) as asking:
        for _ in range(3):
            pids |= {worker["pid"] for worker in folder_of(handle).workers()}
            handle = deployer.update(handle, describe("Where", name="where", replicas=2))
            assert eventually(lambda: bool(asking[2].answers) and asking[2].answers[-1] not in pids)
    assert [client.lost for client in asking] == [[]] * 5
    assert all(client.answers for client in asking)
    assert asking[0].closed >= 1, "kept connections are asked to go elsewhere"
    assert (handle["url"], handle["id"], deployer.token(handle)) == (first["url"], first["id"], deployer.token(first))
    assert eventually(lambda: len(servers_of()) == 3), "the old processes end"
    assert not pids & servers_of()


def test_the_request_that_is_under_way_is_answered_by_whom_it_reached(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Slow"), deployer)
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(deployer.predict(handle, 1.5)))
    asking.start()
    assert eventually(lambda: "asked" in deployer.logs(handle, 5))
    after = deployer.update(handle, describe("Echo", name="echo"))
    assert deployer.predict(after, "new") == "new"
    assert not answers, "the update does not wait for it"
    asking.join()
    assert answers == ["done"]


def test_a_long_request_is_answered_after_an_update_for_as_long_as_its_caller_waits(describe: Describe, deploy: Deploy) -> None:
    """`stop_timeout` is what a request has left when the deployment is stopped; nothing hurries the old ones of an update."""
    deployer = LocalModelDeployer(stop_timeout=0.5)
    handle = deploy(describe("Slow", name="echo"), deployer)
    told: list[Any] = []
    asking = threading.Thread(target=lambda: told.append(deployer.predict(handle, 8.0)))
    asking.start()
    assert eventually(lambda: "asked" in deployer.logs(handle, 5))
    after = deployer.update(handle, describe("Echo", name="echo"))
    assert deployer.predict(after, [1]) == [1]
    asking.join()
    assert told == ["done"]


def test_the_health_is_told_while_the_model_works(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Slow"), deployer)
    asking = threading.Thread(target=lambda: deployer.predict(handle, 1.5))
    asking.start()
    assert eventually(lambda: "asked" in deployer.logs(handle, 5))
    assert deployer.healthy(handle, 1.0)
    asking.join()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("broken", "its new version ended before it was healthy (exit code 1)"),
        ("dict", "which cannot be served: it has no predict()"),
        ("endless", "its new version was not healthy in time; give it longer with `startup_timeout`"),
    ],
)
def test_what_never_gets_healthy_leaves_the_old_one_and_nothing_else(
    kind: str, sentence: str, describe: Describe, deploy: Deploy, servers_of: Servers
) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Echo"), deployer)
    before = servers_of()
    with pytest.raises(DeploymentError) as caught:
        deployer.update(handle, describe(kind, name="echo", settings={"startup_timeout": 2.0}))
    assert "Deployment 'echo' was not updated" in str(caught.value)
    assert sentence in str(caught.value)
    assert servers_of() == before
    assert deployer.status(handle) is DeploymentStatus.RUNNING
    assert deployer.predict(handle, "old") == "old"
    after = deployer.update(handle, describe("function", name="echo"))
    assert deployer.predict(after, [4]) == [8]


UPDATING = """
import json, sys, time
from pathlib import Path
from dovetail.components.model_deployer import Deployment
from dovetail.local.model_deployer import LocalModelDeployer

given, handle = json.loads(sys.argv[1]), json.loads(sys.argv[2])
deployment = Deployment(**{**given, "model": Path(given["model"]), "folder": Path(given["folder"])})
print("updating", flush=True)
LocalModelDeployer().update(handle, deployment)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_update_whose_client_ends_is_taken_back(how: int, describe: Describe, deploy: Deploy, servers_of: Servers) -> None:
    import dataclasses

    deployer = LocalModelDeployer()
    handle = deploy(describe("Echo"), deployer)
    before = servers_of()
    given = json.dumps(dataclasses.asdict(describe("endless", name="echo")), default=str)
    with subprocess.Popen([sys.executable, "-c", UPDATING, given, json.dumps(handle)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert eventually(lambda: len(servers_of()) > len(before))
        client.send_signal(how)
    assert eventually(lambda: servers_of() == before)
    assert deployer.predict(handle, "old") == "old"
    assert deployer.update(handle, describe("Echo", name="echo"))["generation"] > 1


def test_two_updates_at_once_follow_one_another(describe: Describe, deploy: Deploy, servers_of: Servers) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Echo"), deployer)
    made: list[dict[str, Any]] = []
    both = [threading.Thread(target=lambda: made.append(deployer.update(handle, describe("function", name="echo")))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(each["generation"] for each in made) == [2, 3]
    statuses = [deployer.status(each) for each in sorted(made, key=lambda each: each["generation"])]
    assert statuses == [DeploymentStatus.STOPPED, DeploymentStatus.RUNNING]
    assert eventually(lambda: len(servers_of()) == 2)


def test_another_port_or_host_is_another_address(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Echo"), deployer)
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    after = deployer.update(handle, describe("Echo", name="echo", settings={"port": port}))
    try:
        assert after["url"] == f"http://127.0.0.1:{port}"
        assert deployer.status(handle) is DeploymentStatus.STOPPED
        assert deployer.update(after, describe("Echo", name="echo", settings={"port": port}))["url"] == after["url"]
    finally:
        deployer.stop(after)


def test_a_crashed_deployment_is_mended_by_an_update_at_its_address(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Where", replicas=2), deployer)
    os.kill(folder_of(handle).workers()[0]["pid"], signal.SIGKILL)
    assert eventually(lambda: deployer.status(handle) is DeploymentStatus.FAILED)
    after = deployer.update(handle, describe("Echo", name="where"))
    assert (after["url"], deployer.status(after)) == (handle["url"], DeploymentStatus.RUNNING)


def test_a_crash_is_told_with_its_exit_code_and_the_last_lines(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Exiting"), deployer)
    with pytest.raises(DeploymentError):
        deployer.predict(handle, 7)
    assert eventually(lambda: deployer.status(handle) is DeploymentStatus.FAILED)
    told = deployer.explain(handle)
    assert "Deployment 'echo' has ended by itself (exit code 7). Deploy the model again to ask it. The last lines of" in told
    assert "no way back" in told


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_workers_end_with_their_supervisor(describe: Describe, deploy: Deploy, servers_of: Servers) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Echo", replicas=2), deployer)
    os.kill(handle["processes"][0]["pid"], signal.SIGKILL)
    assert eventually(lambda: not servers_of())
    assert deployer.status(handle) is DeploymentStatus.FAILED
    assert "Deploy the model again" in deployer.explain(handle)


def test_a_disk_that_is_full_leaves_nothing(describe: Describe, tmp_path: Path, servers_of: Servers) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    described = describe("Echo")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(DeploymentError, match="cannot keep its files in .*: File too large. Make it writable, and see to it that there is room"):
            LocalModelDeployer().start(described)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not servers_of()
    assert list((tmp_path / "deployments" / "echo").iterdir()) == []


def test_without_the_extra_it_is_named(describe: Describe, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "uvicorn" else found(name, *more))
    with pytest.raises(DeploymentError, match=r"Deployment 'echo' cannot be served. .* is not installed. Install it: pip install \"dovetail\[serve\]\""):
        LocalModelDeployer().start(describe("Echo"))
    assert 'pip install "dovetail[serve]"' in LocalModelDeployer().check()[0]
