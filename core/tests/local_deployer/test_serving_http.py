"""The endpoint as any HTTP client sees it, well-behaved or not."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from dovetail.components.model_deployer import Deployment, DeploymentStatus
from dovetail.local.model_deployer import LocalModelDeployer

Deploy = Callable[..., dict[str, Any]]
Describe = Callable[..., Deployment]


class Caller:
    """Speaks HTTP to one deployment, with the documented header."""

    def __init__(self, deployer: LocalModelDeployer, handle: dict[str, Any]) -> None:
        self.deployer, self.handle = deployer, handle
        self.address = (urlsplit(handle["url"]).hostname or "", urlsplit(handle["url"]).port or 0)

    def ask(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> tuple[int, dict[str, Any], Any]:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        headers = {
            "Authorization": f"Bearer {self.deployer.token(self.handle)}",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer, response.headers

    def predict(self, message: Any) -> tuple[int, dict[str, Any]]:
        return self.ask("POST", "/predict", json.dumps(message))[:2]

    def raw(self, sent: bytes) -> bytes:
        with socket.create_connection(self.address, timeout=10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def serves(self) -> bool:
        return self.deployer.status(self.handle) is DeploymentStatus.RUNNING


@pytest.fixture
def caller(describe: Describe, deploy: Deploy) -> Caller:
    deployer = LocalModelDeployer(request_timeout=2.0, max_request_bytes=100_000)
    return Caller(deployer, deploy(describe("Echo"), deployer))


def test_health_needs_no_token_and_tells_nothing_but_the_id(caller: Caller) -> None:
    status, answer, _ = caller.ask("GET", "/health?probe=1", Authorization="")
    assert (status, answer) == (200, {"status": "ok", "deployment": caller.handle["id"]})


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic {token}", "Bearer {token}x", "{token}", "Bearer \xe9"])
def test_a_wrong_token_is_refused(header: str, caller: Caller) -> None:
    given = header.format(token=caller.deployer.token(caller.handle))
    status, answer, headers = caller.ask("POST", "/predict", '{"instances": [1]}', Authorization=given)
    assert status == 401
    assert answer == {"error": "The token is missing or wrong; send the header 'Authorization: Bearer <token>'."}
    assert headers["WWW-Authenticate"] == "Bearer"


def test_a_wrong_token_is_told_even_to_who_sends_a_long_body(caller: Caller) -> None:
    status, answer, _ = caller.ask("POST", "/predict", b"x" * 20_000_000, Authorization="Bearer wrong")
    assert status == 401
    assert "error" in answer


def test_rows_and_columns_are_answered_as_plain_json(caller: Caller) -> None:
    assert caller.predict({"instances": [[1, 2.5, "a", None, True]]}) == (
        200,
        {"predictions": [[1, 2.5, "a", None, True]], "kind": "rows"},
    )
    assert caller.predict({"instances": [[1, None]], "dtype": "float32"}) == (
        200,
        {"predictions": [[1.0, None]], "kind": "array", "dtype": "float32", "shape": [1, 2]},
    )
    status, answer = caller.predict({"columns": {"n": [1, 2], "day": ["2013-01-01", None]}, "dtypes": {"day": "datetime64[ns]"}})
    assert (status, answer["kind"]) == (200, "frame")
    assert [(c["name"], c["dtype"], c["values"]) for c in answer["predictions"]] == [
        ("n", "int64", [1, 2]),
        ("day", "datetime64[ns]", ["2013-01-01T00:00:00", None]),
    ]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "The request is not JSON"),
        ("{", "The request is not JSON"),
        (b"\xff\xfe", "The request is not JSON"),
        ("[" * 50_000, "The request is not JSON"),
        ("[1]", 'The request must be {"instances"'),
        ("{}", 'The request must be {"instances"'),
        ('{"instances": [], "columns": {}}', 'The request must be {"instances"'),
        ('{"instances": [{"$": "nonsense", "v": 1}]}', "The data cannot be read: "),
        ('{"instances": [["a"]], "dtype": "float64"}', "The data cannot be read: "),
        ('{"instances": [[1]], "dtype": "no dtype"}', "The data cannot be read: "),
        ('{"instances": [[1]], "dtype": "f8", "shape": [3]}', "The data cannot be read: "),
        ('{"instances": [1], "kind": "cube"}', "The kind of the data is 'cube'"),
        ('{"columns": [1]}', "Columns must be a mapping from name to a list of values"),
        ('{"columns": {"a": 1}}', "Columns must be a mapping from name to a list of values"),
        ('{"columns": {"a": [1, 2], "b": [1]}}', "The columns are of different lengths (a: 2, b: 1)"),
        ('{"columns": {"a": ["x"]}, "dtypes": {"a": "int64"}}', "The column 'a' cannot be read as int64"),
        ('{"columns": {"a": [1], "b": [2]}, "kind": "series"}', "A series has one column; 2 were given."),
        ('{"columns": [{"name": {"a": 1}, "values": [1]}]}', "The data cannot be read: "),
        ('{"instances": [1], "method": "mro"}', "There is no method 'mro'; there are predict and predict_proba."),
        ('{"instances": [1], "method": ["predict"]}', "There is no method"),
        ('{"instances": [1], "method": "predict_proba"}', "The model, a Echo, has no predict_proba."),
    ],
)
def test_a_request_that_cannot_be_read_is_told_why_and_the_server_serves_on(
    body: str | bytes, sentence: str, caller: Caller
) -> None:
    status, answer, _ = caller.ask("POST", "/predict", body)
    assert (status, list(answer)) == (400, ["error"])
    assert sentence in answer["error"]
    assert caller.predict({"instances": [1]})[0] == 200


def test_other_paths_and_methods_are_named(caller: Caller) -> None:
    assert caller.ask("GET", "/")[:2] == (404, {"error": "There is no GET /; there are GET /health and POST /predict."})
    assert caller.ask("POST", "/health", "{}")[0] == 404
    assert caller.ask("DELETE", "/predict")[0] == 501


def test_several_requests_may_use_one_connection(caller: Caller) -> None:
    connection = http.client.HTTPConnection(*caller.address, timeout=10)
    headers = {"Authorization": f"bearer {caller.deployer.token(caller.handle)}"}
    used = set()
    for body, status in (('{"instances": [1]}', 200), ("{", 400), ('{"instances": [2]}', 200)):
        connection.request("POST", "/predict", body, headers)
        used.add(connection.sock.getsockname())
        response = connection.getresponse()
        assert response.status == status
        response.read()
    connection.close()
    assert len(used) == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: many\r\n", 400),
        (b"Content-Length: 100001\r\n", 413),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", 400),
        (b"Content-Length: 50\r\n", 408),  # and then fewer
    ],
)
def test_a_body_of_wrong_or_too_great_length_is_not_read(head: bytes, status: int, caller: Caller) -> None:
    token = caller.deployer.token(caller.handle).encode()
    answer = caller.raw(b"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n" + head + b"\r\n{}")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b'{"error": ' in answer
    assert caller.serves()


def test_a_body_may_come_in_chunks_up_to_the_same_length(caller: Caller) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n"
    head %= caller.deployer.token(caller.handle).encode()
    answer = caller.raw(head + b'8\r\n{"instan\r\nA\r\nces": [7]}\r\n0\r\n\r\n')
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"predictions":[7]' in answer
    too_long = caller.raw(head + b"".join(b"2710\r\n" + b"x" * 10_000 + b"\r\n" for _ in range(11)) + b"0\r\n\r\n")
    assert too_long.startswith(b"HTTP/1.1 413 ")


def test_a_head_that_never_ends_is_not_kept(caller: Caller) -> None:
    with socket.create_connection(caller.address, timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(1000):
                connection.sendall(b"x-more: " + b"y" * 10_000 + b"\r\n")
                time.sleep(0.001)
    assert caller.serves()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"nonsense\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * 70_000,
    ],
)
def test_what_is_no_http_does_no_harm(sent: bytes, caller: Caller) -> None:
    answer = caller.raw(sent)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert caller.serves()


@pytest.mark.parametrize("part", ["nothing", "head", "body"])
def test_a_caller_that_sends_byte_by_byte_is_given_up(part: str, caller: Caller) -> None:
    token = caller.deployer.token(caller.handle).encode()
    begun = {
        "nothing": b"",
        "head": b"POST /predict HTTP/1.1\r\n",
        "body": b"POST /predict HTTP/1.1\r\nAuthorization: Bearer " + token + b"\r\nContent-Length: 1000\r\n\r\n",
    }
    began = time.monotonic()
    with socket.create_connection(caller.address, timeout=10) as connection:
        connection.sendall(begun[part])
        connection.settimeout(0.1)
        answer = None
        while answer is None and time.monotonic() - began < 10:
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                if part != "nothing":
                    connection.sendall(b"x")
    assert answer is not None
    assert time.monotonic() - began < 6
    assert answer.startswith(b"HTTP/1.1 408 ") == (part == "body")
    assert caller.serves()


def test_a_caller_that_goes_away_leaves_no_trace(caller: Caller) -> None:
    before = caller.deployer.logs(caller.handle, 100)
    token = caller.deployer.token(caller.handle).encode()
    for _ in range(5):
        with socket.create_connection(caller.address, timeout=10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # closing resets
            body = b'{"instances": ["' + b"x" * 90_000 + b'"]}'
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (token, len(body)) + body
            )
    assert caller.serves()
    assert caller.deployer.logs(caller.handle, 100) == before


def test_a_refused_request_is_logged_on_one_line_and_its_token_and_data_are_not(caller: Caller) -> None:
    caller.raw(b"POST /predict%0a%1b[31m HTTP/1.1\r\nAuthorization: Bearer guess\r\nContent-Length: 4\r\n\r\ndata")
    line = caller.deployer.logs(caller.handle, 1)[0]
    assert "404" in line
    assert not any(part in line for part in ("\x1b", "guess", "data"))


def test_answered_requests_do_not_make_the_log_grow(caller: Caller) -> None:
    before = caller.deployer.logs(caller.handle, 100)
    for n in range(20):
        assert caller.predict({"instances": [n]})[0] == 200
    assert caller.deployer.logs(caller.handle, 100) == before
