"""Credentials come from the fields or from the surroundings, are renewed before they expire, and are written nowhere."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Secret
from dovetail.values.plan import Status
from dovetail_aws.artifact_store import S3ArtifactStore
from front import Fault, Front, Request, said

LIFE = 2.0  # seconds for which a short-lived key is taken


@contextmanager
def issuing(issued: list[str]) -> Iterator[str]:
    """A service that gives every caller a new key, as that of a container or a machine does; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = issue(issued)
            body = json.dumps({**short_lived(name), "Token": f"token of {name}"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/credentials"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def issue(issued: list[str]) -> str:
    issued.append(f"KEY{len(issued)}X{time.time():.3f}")
    return issued[-1]


def short_lived(name: str) -> dict[str, str]:
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFE))
    return {"AccessKeyId": name, "SecretAccessKey": "s", "Expiration": until}


def key_of(request: Request) -> str:
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def only_fresh(request: Request) -> Fault | None:
    """As the service does: a key that is too old is refused."""
    made = float(key_of(request).partition("X")[2])
    return said(400, "ExpiredToken", "The provided token has expired.") if time.time() - made > LIFE + 1 else None


def test_a_machines_credentials_are_renewed_while_a_run_goes_on(
    project: Any, watched: Front, monkeypatch: pytest.MonkeyPatch, make_store: Any
) -> None:
    issued: list[str] = []
    with issuing(issued) as address, watched.faulty(only_fresh):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        store = make_store(endpoint_url=watched.url, key=None, secret=None)
        trial = project.on(store)
        assert trial.run(project.steps.diamond).status is Status.COMPLETED
        time.sleep(LIFE + 1.2)
        assert trial.run(project.steps.diamond, size=4).status is Status.COMPLETED
    assert len({key_of(request) for request in watched.requests}) >= 2
    assert all(request.headers["x-amz-security-token"].startswith("token of KEY") for request in watched.requests)


def test_a_profile_names_a_program_that_gives_credentials_anew(
    watched: Front, tmp_path: Path, make_store: Any
) -> None:
    program = tmp_path / "credentials.py"
    program.write_text(
        "import json, time\n"
        f"until = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + {LIFE}))\n"
        "key = f'KEYX{time.time():.3f}'\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': key, 'SecretAccessKey': 's', 'SessionToken': 't', 'Expiration': until}))\n"
    )
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[profile trial]\nregion = eu-west-3\ncredential_process = {sys.executable} {program}\n")
    store = make_store(endpoint_url=watched.url, key=None, secret=None, profile="trial")
    with watched.faulty(only_fresh):
        assert store.create("a", b"x") is True
        time.sleep(LIFE + 1.2)
        assert store.read("a") == b"x"
    assert len({key_of(request) for request in watched.requests}) == 2
    assert "/eu-west-3/s3/" in watched.requests[0].headers["authorization"]


def test_variables_are_the_default(watched: Front, monkeypatch: pytest.MonkeyPatch, make_store: Any) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMTHEENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    make_store(endpoint_url=watched.url, key=None, secret=None).stat("a")
    make_store(endpoint_url=watched.url).stat("a")
    assert [key_of(request) for request in watched.requests] == ["FROMTHEENVIRONMENT", "testing"]


def test_an_expired_token_is_told_with_its_cure(watched: Front, make_store: Any) -> None:
    store = make_store(endpoint_url=watched.url, token=Secret("old"))
    with watched.faulty(lambda _: said(400, "ExpiredToken", "The provided token has expired.")):
        (problem,) = store.check()
    assert "ExpiredToken" in problem
    assert "Sign in again" in problem
    assert watched.requests[0].headers["x-amz-security-token"] == "old"


def test_a_forked_process_makes_a_client_of_its_own(store: S3ArtifactStore) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    assert store.create("a", b"x") is True
    mine = store._s3
    said_by, says = os.pipe()
    child = os.fork()
    if child == 0:
        ok = store._s3 is not mine and store.read("a") == b"x" and store.create("b", b"y")
        os.write(says, b"1" if ok else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(said_by, 1) == b"1"
    assert store._s3 is mine
    assert store.read("b") == b"y"
    os.close(said_by)
    os.close(says)
