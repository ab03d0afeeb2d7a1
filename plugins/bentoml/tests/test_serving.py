"""Bentos that are served: by the deployer from an artifact, and by `bentoml serve` alone."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from dovetail.components import Deployment, DeploymentStatus
from dovetail.errors import DeploymentError
from dovetail.materializers.finder import Materializers
from dovetail.registry import Registry
from dovetail.testing.models import BrokenMaterializer, Scales, ScalesMaterializer
from dovetail_bentoml.model_deployer import BentoMLModelDeployer
from dovetail_bentoml.surroundings import variables

ROWS = [[0.0, 1.0], [5.0, 2.0], [9.0, -3.0], [2.0, 2.0]]
_SLEEPY = """
import time
from dovetail.testing.models import ScalesMaterializer


class SleepyMaterializer(ScalesMaterializer):
    def load(self, data_type):
        time.sleep(100)
"""
_TEXTS = ["late flight", "early"]


@dataclass
class Serving:
    """Deployments of one test module's, which end with it."""

    folder: Path
    deployer: BentoMLModelDeployer = field(default_factory=lambda: BentoMLModelDeployer(max_request_bytes=2000))
    handles: list[dict[str, Any]] = field(default_factory=list)

    def deployment(self, value: Any, materializer: Any = None, **more: Any) -> Deployment:
        place = self.folder / str(len(list(self.folder.iterdir())))
        (place / "data").mkdir(parents=True)
        specs = Registry.load().materializer_specs()
        saved = Materializers(specs).save(value, str(place / "data"), materializer)
        declared = {name: spec.target for spec in specs for name in spec.types}
        options = {"name": "served", "trusted": True, "materializers": declared, **more}
        return Deployment(
            model=place / "data", materializer=saved.materializer, type=saved.type, digest="0" * 64, folder=place / "deployment", **options
        )

    def start(self, value: Any, materializer: Any = None, **more: Any) -> dict[str, Any]:
        self.handles.append(self.deployer.start(self.deployment(value, materializer, **more)))
        return self.handles[-1]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, bentos: Any) -> Iterator[Serving]:
    running = Serving(tmp_path_factory.mktemp("served"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOVETAIL_PROJECT", str(bentos.project))
        yield running
        for handle in running.handles:
            running.deployer.stop(handle)


@pytest.fixture(scope="module")
def scales(serving: Serving) -> dict[str, Any]:
    return serving.start(Scales(2.0), ScalesMaterializer)


@pytest.mark.parametrize("kind", ["scikit-learn", "xgboost", "booster", "lightgbm", "pytorch", "transformers", "own"])
def test_a_bento_of_every_framework_answers_as_its_model_does(bentos: Any, serving: Serving, kind: str) -> None:
    model, handle = bentos.model(kind), serving.start(bentos.build(kind))
    asked = _TEXTS if kind == "transformers" else ROWS
    answer = serving.deployer.predict(handle, asked)
    if kind in ("transformers", "own"):
        expected = model(asked) if kind == "transformers" else model.predict(asked)
        assert [str(each)[:40] for each in answer] == [str(each)[:40] for each in expected]
    else:
        assert numpy.allclose(answer, _expected(kind, model, asked))
        frame = pandas.DataFrame(asked, columns=["distance", "delay"])
        assert numpy.allclose(serving.deployer.predict(handle, numpy.array(asked)), answer)
        assert kind == "scikit-learn" or numpy.allclose(serving.deployer.predict(handle, frame.to_numpy()), answer)
    if "predict_proba" in bentos.build(kind).methods:
        assert numpy.allclose(serving.deployer.predict(handle, asked, "predict_proba"), model.predict_proba(numpy.array(asked)))
    else:
        with pytest.raises(DeploymentError, match="has no predict_proba"):
            serving.deployer.predict(handle, asked, "predict_proba")
    serving.deployer.stop(handle)


def _expected(kind: str, model: Any, rows: list[list[float]]) -> Any:
    if kind == "pytorch":
        import torch

        return model(torch.tensor(rows)).detach().numpy()
    if kind == "booster":
        import xgboost

        return model.predict(xgboost.DMatrix(numpy.array(rows)))
    return model.predict(numpy.array(rows))


@contextmanager
def _asking(serving: Serving, handle: Mapping[str, Any], threads: int) -> Iterator[tuple[list[Any], list[str]]]:
    """Clients that never stop asking while the block runs: half of them on one connection each, half on a new one each time."""
    answers: list[Any] = []
    lost: list[str] = []
    over = threading.Event()
    host, port = handle["url"].removeprefix("http://").split(":")
    headers = {"Authorization": f"Bearer {serving.deployer.token(handle)}", "Content-Type": "application/json"}

    def ask_on(keeps: bool) -> None:
        connection = None
        while not over.is_set():
            try:
                connection = connection or http.client.HTTPConnection(host, int(port), timeout=30)
                connection.request("POST", "/predict", json.dumps({"instances": [[1.0, 1.0]]}), headers)
                response = connection.getresponse()
                body = json.loads(response.read())
                answers.append(body["predictions"][0])
                if not keeps or response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
                lost.append(repr(error))
                connection = None
        if connection is not None:
            connection.close()

    asking = [threading.Thread(target=ask_on, args=(number % 2 == 0,)) for number in range(threads)]
    for thread in asking:
        thread.start()
    try:
        yield answers, lost
    finally:
        over.set()
        for thread in asking:
            thread.join()


def test_a_deployment_that_never_gets_healthy_is_told_with_its_log_and_nothing_is_left(bentos: Any, serving: Serving) -> None:
    (bentos.project / "sleepy.py").write_text(_SLEEPY)
    import sleepy

    with pytest.raises(DeploymentError, match=r"was not healthy in time; give it longer with `startup_timeout`. The last lines of"):
        serving.start(Scales(1.0), sleepy.SleepyMaterializer, name="sleepy", settings={"startup_timeout": 4})
    place = str(len(list(serving.folder.iterdir())) - 1)
    assert _processes_below(serving.folder / place) == []


def test_a_port_in_use_is_told_with_the_cure(serving: Serving) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DeploymentError, match=f"cannot listen at 127.0.0.1:{port}.*leave `port` unset"):
            serving.start(Scales(1.0), ScalesMaterializer, settings={"port": port})


def test_a_bento_out_of_a_store_that_is_not_trusted_is_not_run(bentos: Any, serving: Serving) -> None:
    with pytest.raises(DeploymentError, match="holds code.*trusted: true"):
        serving.start(bentos.build("own"), trusted=False)


def test_callers_show_a_token_and_health_is_open_to_all(serving: Serving, scales: dict[str, Any]) -> None:
    token, url = serving.deployer.token(scales), scales["url"]
    for path in ("/predict", "/predict_proba", "/metrics", "/docs.json", "/schema.json", "/", "/no-such-path"):
        assert {_status(url, path, given) for given in (None, "", "wrong", token[:-1])} == {401}, path
    assert [_status(url, path, None) for path in ("/health", "/livez", "/readyz")] == [200] * 3
    assert _status(url, "/metrics", token) == 200


def test_a_request_longer_than_allowed_is_refused(serving: Serving, scales: dict[str, Any]) -> None:
    with pytest.raises(DeploymentError, match="413.*more than the 2000 bytes"):
        serving.deployer.predict(scales, [[1, 2]] * 1000)


@pytest.mark.parametrize("said", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_json_that_says_it_is_a_form_is_refused_with_the_header_to_send(serving: Serving, scales: dict[str, Any], said: str) -> None:
    """As `curl -d` says of every body."""
    host, port = scales["url"].removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("POST", "/predict", b'{"instances": [[1, 1]]}', {"Authorization": f"Bearer {serving.deployer.token(scales)}", "Content-Type": said})
        answered = connection.getresponse()
        assert (answered.status, b"Content-Type: application/json" in answered.read()) == (415, True)
    finally:
        connection.close()


def test_an_update_that_never_serves_leaves_what_served_before(serving: Serving, scales: dict[str, Any]) -> None:
    with pytest.raises(DeploymentError, match="the weights do not fit"):
        serving.deployer.update(scales, serving.deployment(Scales(3.0), BrokenMaterializer))
    assert serving.deployer.predict(scales, [[1.0, 1.0]]) == [4.0]


def test_an_update_in_place_loses_no_request(serving: Serving, scales: dict[str, Any]) -> None:
    with _asking(serving, scales, 4) as (answers, lost):
        time.sleep(0.5)
        made = serving.deployer.update(scales, serving.deployment(Scales(3.0), ScalesMaterializer))
        time.sleep(1.0)
    assert lost == []
    assert (answers[0], answers[-1], set(answers)) == (4.0, 6.0, {4.0, 6.0})
    assert (made["url"], serving.deployer.token(made)) == (scales["url"], serving.deployer.token(scales))
    assert serving.deployer.status(scales) is DeploymentStatus.STOPPED


def test_who_asks_after_an_update_is_answered_by_the_new_version(serving: Serving, scales: dict[str, Any]) -> None:
    """The old one's server looked ten times a second whether it was to leave, and took connections until then."""
    for factor in (4.0, 5.0, 2.0):
        made = serving.deployer.update(scales, serving.deployment(Scales(factor), ScalesMaterializer))
        assert [serving.deployer.predict(made, [[1.0, 1.0]]) for _ in range(5)] == [[2 * factor]] * 5


def _status(url: str, path: str, token: str | None) -> int:
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request("POST" if path.startswith("/predict") else "GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def _bentoml_serve(bento: Any, home: Path, **more: str) -> Iterator[str]:
    """The real command, as anybody would type it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", str(bento.folder), "--host", "127.0.0.1", "--port", str(port)]
    log = home / "log"
    home.mkdir(exist_ok=True)
    with open(log, "wb") as file:
        process = subprocess.Popen(command, env={**variables(home), **more}, stdout=file, stderr=file, start_new_session=True, cwd=home)
    try:
        until = time.monotonic() + 90
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(log.read_text()[-3000:])
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int) -> bool:
    try:
        return _status(f"http://127.0.0.1:{port}", "/readyz", None) == 200
    except OSError:
        return False


def test_bentoml_serve_serves_it_too_and_asks_for_the_token_that_it_is_given(bentos: Any, tmp_path: Path) -> None:
    from dovetail.components.serving.client import ask

    bento = bentos.build("own")
    with _bentoml_serve(bento, tmp_path / "home", DOVETAIL_BENTOML_TOKEN="let me in") as url:
        assert ask(url, "/predict", {"instances": ROWS}, "let me in", 10) == (200, {"predictions": [False, True, True, False], "kind": "rows"})
        assert ask(url, "/predict", {"instances": ROWS}, "let me", 10)[0] == 401
        assert ask(url, "/predict", {}, "let me in", 10)[0] == 400


def test_without_a_token_bentoml_serves_nothing_and_says_how_to_give_one(bentos: Any) -> None:
    from dovetail_bentoml.served import Served

    with pytest.raises(DeploymentError, match="set DOVETAIL_BENTOML_TOKEN"):
        Served.beside(str(bentos.build("own").folder / "src" / "service.py")).load()


def _processes_below(folder: Path) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found
