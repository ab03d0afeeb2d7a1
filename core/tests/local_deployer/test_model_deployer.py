"""Deployments as their deployer keeps them: started, asked, lost and stopped, with real server processes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dovetail.materializers.builtin import SPECS
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from dovetail.components.model_deployer import Deployment, DeploymentStatus
from dovetail.components.serving.folder import ServingFolder
from dovetail.errors import DeploymentError
from dovetail.local.model_deployer import LocalModelDeployer
from dovetail.materializers.finder import Materializers
from dovetail.values.processes import is_alive, process_identity

Deploy = Callable[..., dict[str, Any]]
Describe = Callable[..., Deployment]
Servers = Callable[[], set[int]]


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def workers(handle: dict[str, Any]) -> list[dict[str, Any]]:
    return ServingFolder(Path(handle["folder"])).workers()


def frame(rows: int = 60) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "carrier": pd.Series(["AA", "UA", None] * (rows // 3), dtype=object),
            "delay": [float(n % 17) for n in range(rows)],
            "date": pd.date_range("2013-01-01", periods=rows),
        }
    )


def late(data: pd.DataFrame) -> list[int]:
    return [int(delay > 8) for delay in data["delay"]]


@pytest.fixture
def classifier() -> Any:
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), ("passthrough", ["delay"]))
    return make_pipeline(encode, LogisticRegression()).fit(frame(), late(frame()))


@pytest.fixture
def describe_saved(tmp_path: Path) -> Callable[[Any], Deployment]:
    def describe(model: Any) -> Deployment:
        folder = tmp_path / "payload" / "saved"
        folder.mkdir(parents=True)
        saved = Materializers(SPECS).save(model, str(folder))
        return Deployment("flights", folder, saved.materializer, saved.type, "0" * 64, tmp_path / "deployments", trusted=True)

    return describe


def test_a_classifier_answers_what_it_answers_at_home(
    classifier: Any, describe_saved: Callable[[Any], Deployment], deploy: Deploy
) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe_saved(classifier), deployer)
    assert deployer.status(handle) is DeploymentStatus.RUNNING
    data = frame(30)
    for method in ("predict", "predict_proba"):
        answered = deployer.predict(handle, data, method)
        assert answered.dtype == getattr(classifier, method)(data).dtype
        np.testing.assert_array_equal(answered, getattr(classifier, method)(data))
    columns = {"carrier": ["AA", None], "delay": np.array([1.0, 15.0]), "date": data["date"][:2]}
    assert deployer.predict(handle, columns).tolist() == [0, 1]
    rows = [{"carrier": "UA", "delay": 16.0}, {"carrier": "ZZ", "delay": 0.0}]
    assert deployer.predict(handle, rows).tolist() == [1, 0]


def test_an_estimator_takes_plain_rows_and_arrays(describe_saved: Callable[[Any], Deployment], deploy: Deploy) -> None:
    model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    deployer = LocalModelDeployer()
    handle = deploy(describe_saved(model), deployer)
    assert deployer.predict(handle, [[0.1], [2.9]]).tolist() == [0, 1]
    assert deployer.predict(handle, np.array([[0.1], [2.9]], dtype="float32")).tolist() == [0, 1]


def test_a_pickled_model_from_an_untrusted_store_is_not_loaded(
    classifier: Any, describe_saved: Callable[[Any], Deployment], servers_of: Servers
) -> None:
    deployment = dataclasses.replace(describe_saved(classifier), trusted=False)
    if not Materializers(SPECS).named(deployment.materializer).pickled:
        pytest.skip("estimators are saved without pickle")
    with pytest.raises(DeploymentError, match="trusted: true"):
        LocalModelDeployer().start(deployment)
    assert not servers_of()


def test_a_function_is_served_too(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("function"), deployer)
    assert deployer.predict(handle, [1, 2.5]) == [2, 5.0]
    with pytest.raises(DeploymentError, match=r"refused the request \(400\): The model, a function, has no predict_proba"):
        deployer.predict(handle, [1], "predict_proba")
    with pytest.raises(DeploymentError, match="There is no method '__class__'"):
        deployer.predict(handle, [1], "__class__")


def test_a_plugins_materializer_is_followed_where_a_strangers_is_not(
    describe: Describe, deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    monkeypatch.setenv("DOVETAIL_PROJECT", str(elsewhere))
    with pytest.raises(DeploymentError, match=r"lies neither in this project"):
        LocalModelDeployer().start(describe("Echo"))
    handle = deploy(describe("Echo", materializers={"served_models.Echo": "served_models:ProjectModels"}))
    assert LocalModelDeployer().predict(handle, "heard") == "heard"


def test_a_handle_is_plain_json_without_the_token_and_works_in_another_process(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    folder = Path(handle["folder"])
    token = (folder / "token").read_text()
    assert len(token) >= 32
    assert deployer.token(handle) == token
    text = json.dumps(handle)
    assert token not in text
    script = (
        "import json, sys; from dovetail.local.model_deployer import LocalModelDeployer as D; h = json.loads(sys.argv[1]); "
        "print(D().status(h).value, D().predict(h, [1, 2]))"
    )
    told = subprocess.run([sys.executable, "-c", script, text], capture_output=True, text=True, check=True)
    assert told.stdout.split(maxsplit=1) == ["running", "[1, 2]\n"]


def test_nobody_else_can_read_what_a_deployment_keeps(describe: Describe, deploy: Deploy) -> None:
    folder = Path(deploy(describe())["folder"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    kept = ["server.json", "command.json", "generation-1.json", "token", "log", "current", "processes.json", "workers.json"]
    assert modes == dict.fromkeys(kept, 0o600)
    token = (folder / "token").read_text()
    assert [file.name for file in folder.iterdir() if token in file.read_text()] == ["token"]


CLIENT = """
import json, sys, time
from pathlib import Path
from dovetail.components.model_deployer import Deployment
from dovetail.local.model_deployer import LocalModelDeployer
from dovetail.components.serving.folder import ServingFolder

given = json.loads(sys.argv[1])
sys.path.insert(0, given.pop("project"))
if given.pop("pause"):
    ServingFolder.commit = lambda *_: (print("healthy", flush=True), time.sleep(600))
deployment = Deployment(**{**given, "model": Path(given["model"]), "folder": Path(given["folder"])})
print(json.dumps(LocalModelDeployer().start(deployment)), flush=True)
time.sleep(600)
"""


def client(deployment: Deployment, project: Path, *, pause: bool) -> subprocess.Popen[bytes]:
    """A process that deploys, says so and lives on; with `pause` it stops just before it keeps what it started."""
    given = {**dataclasses.asdict(deployment), "project": project, "pause": pause}
    command = [sys.executable, "-c", CLIENT, json.dumps(given, default=str)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)


def test_a_deployment_goes_on_when_the_process_that_started_it_is_killed_with_its_whole_group(
    describe: Describe, project: Path, servers_of: Servers
) -> None:
    with client(describe(), project, pause=False) as started:
        assert started.stdout is not None
        handle = json.loads(started.stdout.readline())
        os.killpg(started.pid, signal.SIGKILL)
    deployer = LocalModelDeployer()
    try:
        time.sleep(0.3)
        assert deployer.status(handle) is DeploymentStatus.RUNNING
        assert deployer.predict(handle, "still there?") == "still there?"
    finally:
        deployer.stop(handle)
    assert not servers_of()


@pytest.mark.parametrize("kind", ["Echo", "endless"])
def test_a_client_that_is_killed_while_it_deploys_leaves_no_server(
    kind: str, describe: Describe, project: Path, servers_of: Servers
) -> None:
    with client(describe(kind, replicas=2), project, pause=True) as started:
        assert started.stdout is not None
        if kind == "Echo":
            assert started.stdout.readline() == b"healthy\n"
        assert eventually(lambda: len(servers_of()) >= 2)
        started.kill()
    assert eventually(lambda: not servers_of())


def test_a_server_that_is_killed_has_failed_and_says_so(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    os.kill(handle["processes"][0]["pid"], signal.SIGKILL)
    assert eventually(lambda: is_alive(handle["processes"][0]) is False)
    assert deployer.status(handle) is DeploymentStatus.FAILED
    with pytest.raises(DeploymentError, match=r"(?s)'echo' has ended by itself. Deploy the model again.*serves 'echo' at http"):
        deployer.predict(handle, [1])
    deployer.stop(handle)
    assert deployer.status(handle) is DeploymentStatus.STOPPED


def test_stopping_twice_is_stopping_once(describe: Describe, deploy: Deploy, servers_of: Servers) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    deployer.stop(handle)
    assert not servers_of()
    assert deployer.status(handle) is DeploymentStatus.STOPPED
    deployer.stop(handle)
    assert deployer.status(handle) is DeploymentStatus.STOPPED
    with pytest.raises(DeploymentError, match="'echo' was stopped"):
        deployer.predict(handle, [1])
    assert deployer.logs(handle, 1)[0].endswith("was told to stop")


def test_a_request_under_way_is_answered_before_the_server_stops(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Slow"), deployer)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(deployer.predict, handle, 0.7)
        assert eventually(lambda: "asked" in deployer.logs(handle, 1))
        deployer.stop(handle)
        assert asked.result() == "done"


def test_a_server_that_does_not_stop_in_time_is_killed(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer(stop_timeout=0.2)
    handle = deploy(describe("Slow"), deployer)
    os.kill(handle["processes"][0]["pid"], signal.SIGSTOP)  # it cannot even be told
    deployer.stop(handle)
    assert deployer.status(handle) is DeploymentStatus.STOPPED


def test_a_server_that_hangs_is_not_called_running(describe: Describe, deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.components.serving.deployer._PATIENCE", 0.3)
    deployer = LocalModelDeployer(stop_timeout=0.2)
    handle = deploy(describe(), deployer)
    (worker,) = workers(handle)
    os.kill(worker["pid"], signal.SIGSTOP)
    assert deployer.status(handle) is DeploymentStatus.FAILED
    os.kill(worker["pid"], signal.SIGCONT)
    assert eventually(lambda: deployer.status(handle) is DeploymentStatus.RUNNING)


def test_a_pid_that_another_process_was_given_is_neither_running_nor_killed(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    deployer.stop(handle)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        recycled = {**handle, "processes": [{**handle["processes"][0], "pid": stranger.pid}]}
        (Path(handle["folder"]) / "processes.json").write_text(json.dumps(recycled["processes"]))
        assert deployer.status(recycled) is DeploymentStatus.STOPPED
        deployer.stop(recycled)
        assert stranger.poll() is None
        stranger.kill()
    (Path(handle["folder"]) / "processes.json").write_text(json.dumps(handle["processes"]))


def test_a_record_that_names_a_process_of_the_users_own_kills_nothing(describe: Describe, deploy: Deploy, tmp_path: Path) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as victim:
        forged = {**handle, "processes": [process_identity(victim.pid)]}
        with pytest.raises(DeploymentError, match="not acted on"):
            deployer.stop(forged)
        with pytest.raises(DeploymentError, match="is not here"):
            deployer.stop({**forged, "folder": str(tmp_path)})
        assert victim.poll() is None
        victim.kill()


def test_a_record_that_names_another_address_gets_no_token(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    with socket.create_server(("127.0.0.1", 0)) as thief:
        thief.settimeout(0.2)
        forged = {**handle, "url": f"http://127.0.0.1:{thief.getsockname()[1]}"}
        with pytest.raises(DeploymentError, match="not acted on"):
            deployer.predict(forged, [1])
        with pytest.raises(TimeoutError):
            thief.accept()


def test_of_a_deployment_on_another_machine_nothing_is_claimed(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    there = [{**identity, "boot": "other", "machine": "other", "host": "node-7"} for identity in handle["processes"]]
    remote = {**handle, "processes": there, "folder": "/nowhere"}
    assert deployer.status(remote) is DeploymentStatus.RUNNING  # it answers by its own id
    deployer.stop(handle)
    assert deployer.status(remote) is DeploymentStatus.UNKNOWN
    for act in (deployer.stop, lambda h: deployer.predict(h, [1]), lambda h: deployer.logs(h, 5)):
        with pytest.raises(DeploymentError, match="node-7"):
            act(remote)


def test_replicas_share_the_port_and_the_work(describe: Describe, deploy: Deploy, servers_of: Servers) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Where", replicas=3), deployer)
    pids = {identity["pid"] for identity in workers(handle)}
    assert len(pids) == 3
    assert servers_of() == pids | {handle["processes"][0]["pid"]}
    answered: set[int] = set()
    deadline = time.monotonic() + 20
    with ThreadPoolExecutor(6) as pool:
        while answered != pids and time.monotonic() < deadline:
            answered |= set(pool.map(lambda _: deployer.predict(handle, None), range(30)))
    assert answered == pids
    os.kill(min(pids), signal.SIGKILL)
    assert eventually(lambda: deployer.status(handle) is DeploymentStatus.FAILED)
    assert "has ended by itself (signal SIGKILL); what is left of it serves on" in deployer.explain(handle)
    assert deployer.predict(handle, None) in pids - {min(pids)}  # the others answer until they are stopped
    deployer.stop(handle)
    assert not servers_of()


def test_if_one_replica_cannot_start_none_is_left(describe: Describe, servers_of: Servers, project: Path) -> None:
    module = project / "served_models.py"
    once = "import os\ntry:\n    os.mkdir(__file__ + '.first')\nexcept FileExistsError:\n    raise SystemExit('second')\n"
    module.write_text(once + module.read_text())
    with pytest.raises(DeploymentError, match="ended before it was healthy"):
        LocalModelDeployer().start(describe(replicas=3))
    assert not servers_of()


def test_requests_are_answered_at_once_not_in_turn(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Slow"), deployer)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: deployer.predict(handle, 0.7), range(8))) == ["done"] * 8
    assert time.monotonic() - began < 4  # in turn it would be 5.6 s


def test_many_requests_at_once_each_get_their_own_answer(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(replicas=2), deployer)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda n: deployer.predict(handle, [n]), range(300))) == [[n] for n in range(300)]


def test_a_model_that_cannot_be_loaded_is_told_with_the_last_lines_of_the_log(describe: Describe, servers_of: Servers) -> None:
    with pytest.raises(DeploymentError) as caught:
        LocalModelDeployer().start(describe("broken", name="fraud"))
    assert str(caught.value).startswith("Deployment 'fraud' ended before it was healthy. The last lines of ")
    assert "this model is damaged" in str(caught.value)
    assert "RuntimeError: the weights do not fit" in str(caught.value)
    assert ", in load" in str(caught.value)
    assert not servers_of()


def test_what_cannot_predict_is_not_deployed(describe: Describe, servers_of: Servers) -> None:
    with pytest.raises(DeploymentError, match=r"'echo' is a dict, which cannot be served: it has no predict\(\)"):
        LocalModelDeployer().start(describe("dict"))
    assert not servers_of()


def test_a_server_that_takes_too_long_is_ended(describe: Describe, servers_of: Servers) -> None:
    began = time.monotonic()
    with pytest.raises(DeploymentError, match="was not healthy in time; give it longer with `startup_timeout`"):
        LocalModelDeployer().start(describe("endless", settings={"startup_timeout": 1.0}))
    assert time.monotonic() - began < 10
    assert not servers_of()


def test_a_server_that_does_not_listen_to_its_withdrawal_is_killed(
    describe: Describe, servers_of: Servers, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = project / "served_models.py"
    module.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n" + module.read_text())
    monkeypatch.setattr("dovetail.components.serving.launch._WITHDRAWAL", 0.3)
    with pytest.raises(DeploymentError, match="was not healthy in time"):
        LocalModelDeployer(startup_timeout=1.5).start(describe())
    assert eventually(lambda: not servers_of())


def test_a_port_that_is_in_use_is_named_with_its_cure(describe: Describe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        deployer = LocalModelDeployer(port=port)
        with pytest.raises(DeploymentError, match=rf"cannot listen at 127.0.0.1:{port}: .*in use. Stop what listens there"):
            deployer.start(describe())


def test_a_fixed_port_can_be_used_again_at_once(describe: Describe, deploy: Deploy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for _ in range(2):
        deployer = LocalModelDeployer()
        handle = deploy(describe(settings={"port": port}), deployer)
        assert handle["url"] == f"http://127.0.0.1:{port}"
        assert deployer.predict(handle, "here") == "here"
        deployer.stop(handle)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"settings": {"prot": 1}}, "sets 'prot', which the local model deployer does not know. Did you mean 'port'?"),
        ({"settings": {"port": "80"}}, "has the port '80'"),
        ({"settings": {"port": 70000}}, "has the port 70000"),
        ({"settings": {"startup_timeout": 0}}, "has the startup_timeout 0"),
        ({"settings": {"startup_timeout": "soon"}}, "has the startup_timeout 'soon'"),
        ({"replicas": 0}, "has 0 replicas"),
        ({"replicas": True}, "has True replicas"),
    ],
)
def test_what_cannot_be_honoured_is_refused(given: dict[str, Any], sentence: str, describe: Describe) -> None:
    with pytest.raises(DeploymentError) as caught:
        LocalModelDeployer().start(describe(**given))
    assert sentence in str(caught.value)


def test_a_host_that_is_not_this_machines_is_refused(describe: Describe) -> None:
    deployer = LocalModelDeployer(host="192.0.2.1")
    with pytest.raises(DeploymentError, match=r"cannot listen at 192.0.2.1"):
        deployer.start(describe())
    assert "192.0.2.1" in deployer.check()[0]
    assert "cannot be found" in LocalModelDeployer(host="no such host").check()[0]


def test_an_interpreter_that_is_none_is_refused(describe: Describe, tmp_path: Path) -> None:
    assert LocalModelDeployer().check() == []
    deployer = LocalModelDeployer(python=str(tmp_path / "python"))
    assert "cannot be run; set `python`" in deployer.check()[0]
    with pytest.raises(DeploymentError, match=r"cannot be started by .*No such file.*give another interpreter"):
        deployer.start(describe())
    with pytest.raises(DeploymentError, match="ended before it was healthy"):
        LocalModelDeployer(python="/bin/false").start(describe())


def test_a_folder_that_cannot_be_written_is_named(describe: Describe, tmp_path: Path) -> None:
    (tmp_path / "deployments").write_text("a file")
    with pytest.raises(DeploymentError, match="cannot keep its files in"):
        LocalModelDeployer().start(describe())


def test_every_interface_of_the_machine_is_reached_by_loopback(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer(host="0.0.0.0")
    handle = deploy(describe(), deployer)
    assert handle["url"].startswith("http://127.0.0.1:")
    assert deployer.predict(handle, 1) == 1


def test_a_model_that_raises_is_told_in_one_sentence_and_served_on(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe("Unsteady"), deployer)
    with pytest.raises(DeploymentError, match=r"refused the request \(400\): The model raised ValueError: no such row: 7"):
        deployer.predict(handle, 7)
    with pytest.raises(DeploymentError, match=r"The model raised SystemExit: 3"):
        deployer.predict(handle, "exit")
    with pytest.raises(
        DeploymentError, match=r"The model answered with what has no form as JSON: A value of type builtins:object"
    ):
        deployer.predict(handle, "odd")
    assert deployer.status(handle) is DeploymentStatus.RUNNING
    assert any("in predict" in line for line in deployer.logs(handle, 200))


def test_what_cannot_be_sent_is_refused_before_it_is(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer(max_request_bytes=1000)
    handle = deploy(describe(), deployer)
    with pytest.raises(DeploymentError, match=r"cannot be sent this data: A value of type _thread:lock.*Give lists, dicts"):
        deployer.predict(handle, [threading.Lock()])
    for size in (2000, 30_000_000):
        with pytest.raises(
            DeploymentError, match=r"\(413\): The request has \d+ bytes, more than the 1000 that are read; send fewer"
        ):
            deployer.predict(handle, "x" * size)
    assert deployer.predict(handle, "x") == "x"


def test_an_answer_that_takes_too_long_is_not_waited_for(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer(stop_timeout=0.2)
    handle = deploy(describe("Slow"), deployer)
    with pytest.raises(DeploymentError, match=r"has not answered within 0.3 seconds"):
        LocalModelDeployer(request_timeout=0.3).predict(handle, 3)


def test_logs_give_the_last_lines_however_long_the_log(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer()
    handle = deploy(describe(), deployer)
    log = Path(handle["folder"]) / "log"
    log.write_text("".join(f"line {n} {'é' * 50}\n" for n in range(5000)))
    assert [line.split()[1] for line in deployer.logs(handle, 1200)] == [str(n) for n in range(3800, 5000)]
    assert len(deployer.logs(handle, 10_000)) == 5000
    assert deployer.logs(handle, 0) == []
    log.unlink()
    assert deployer.logs(handle, 5) == []


def test_without_a_token_whoever_reaches_it_may_ask(describe: Describe, deploy: Deploy) -> None:
    deployer = LocalModelDeployer(require_token=False)
    handle = deploy(describe(), deployer)
    assert deployer.token(handle) == ""
    assert deployer.predict(handle, [1]) == [1]


def test_reading_the_deployers_fields_imports_no_server_and_no_library() -> None:
    unwanted = {"http", "socket", "subprocess", "secrets", "urllib.request", "numpy", "ctypes", "ssl", "pydantic"}
    script = (
        "import sys; import dovetail.components; before = set(sys.modules); "
        "from dovetail.local.model_deployer import LocalModelDeployer as D; "
        f"D().configuration(); print(*sorted({unwanted!r} & (set(sys.modules) - before)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == ""
