"""gcp-storage-emulator as a process of its own, with what it lacks of Cloud Storage: conditions, generations, pages, many requests at once.

python storage_emulator.py PORT [TOKEN]     with TOKEN only who shows it may do anything
"""

from __future__ import annotations

import http.client
import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_STARTUP = 60.0


@dataclass
class Emulator:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def emulator(token: str = "") -> Iterator[Emulator]:
    """Runs until the block ends; a bucket `trial` is there."""
    running = Emulator(free_port())
    command = [sys.executable, __file__, str(running.port), *([token] if token else [])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": ""})
    try:
        _wait(running, process)
        yield running
    finally:
        process.kill()
        process.wait()


def _wait(running: Emulator, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTUP
    while True:
        try:
            running.ask("GET", "/")
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until, "the emulator did not start"
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def complaint(status: int, reason: str, message: str) -> bytes:
    """As Cloud Storage says it."""
    return json.dumps({"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}).encode()


def handler_class(token: str) -> Any:
    from gcp_storage_emulator.server import RequestHandler

    class Handler(RequestHandler):
        """One request at a time, so that looking whether a condition holds and writing are one step, as they are in the real service."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1
        lock = threading.Lock()
        conditions: dict[str, str] = {}  # of uploads that go on

        def _handle(self, go_on: Any) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            kept, self.rfile = self.rfile, io.BytesIO(body)
            try:
                with self.lock:
                    refusal = self._refusal(unquote(url.path), url.path, query)
                    if refusal is not None:
                        self._say(*refusal)
                    elif self.command == "GET" and url.path.endswith("/o"):
                        self._list(url.path, query)
                    elif self.command == "GET" and query.get("alt") == "media":
                        self._content(url.path)
                    else:
                        go_on()
            finally:
                self.rfile = kept

        def _refusal(self, path: str, quoted: str, query: dict[str, str]) -> tuple[int, bytes] | None:
            if token and self.headers.get("Authorization") != f"Bearer {token}":
                return 403, complaint(403, "forbidden", "Nobody may do that.")
            if path == "/":
                return None
            bucket = quoted.split("/b/")[1].split("/")[0]
            if bucket not in self.storage.buckets:
                return 404, complaint(404, "notFound", "The specified bucket does not exist.")
            if self.command == "POST" and "uploadType" in query and self._there(bucket, query["name"]) and query.get("ifGenerationMatch") == "0":
                return 412, complaint(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
            if self.command == "PUT" and query.get("ifGenerationMatch") == "0" and self._ends() and self._there(bucket, query["name"]):
                return 412, complaint(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
            if self.command in ("GET", "DELETE") and "/o/" in quoted and "upload_id" not in query:
                return self._of_object(bucket, unquote(quoted.split("/o/")[1]), query)
            return None

        def _there(self, bucket: str, name: str) -> Any:
            return self.storage.objects.get(bucket, {}).get(name)

        def _ends(self) -> bool:
            span, _, total = self.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            return span != "*" and int(span.partition("-")[2]) == int(total) - 1

        def _of_object(self, bucket: str, name: str, query: dict[str, str]) -> tuple[int, bytes] | None:
            found = self._there(bucket, name)
            if found is None:
                return 404, complaint(404, "notFound", f"No such object: {bucket}/{name}")
            if query.get("ifGenerationMatch", found["generation"]) != found["generation"]:
                return 412, complaint(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
            return None

        def _list(self, path: str, query: dict[str, str]) -> None:
            found, prefixes = self.storage.get_file_list(path.split("/b/")[1].split("/")[0], query.get("prefix"), query.get("delimiter"))
            entries = sorted([(item["name"], item) for item in found] + [(prefix, None) for prefix in prefixes])
            start, most = int(query.get("pageToken", 0)), int(query.get("maxResults", 1000))
            page, more = entries[start : start + most], len(entries) > start + most
            answer: dict[str, Any] = {"kind": "storage#objects", "items": [item for _, item in page if item is not None]}
            answer["prefixes"] = [name for name, item in page if item is None]
            self._say(200, json.dumps({**answer, **({"nextPageToken": str(start + most)} if more else {})}).encode())

        def _content(self, path: str) -> None:
            bucket, name = path.split("/b/")[1].split("/")[0], unquote(path.split("/o/")[1])
            content, found = self.storage.get_file(bucket, name), self._there(bucket, name)
            headers = {"x-goog-generation": found["generation"], "Content-Type": "application/octet-stream"}
            asked = self.headers.get("Range")
            if not asked:
                self._say(200, content, headers)
                return
            start, end = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            if start >= len(content):
                self._say(416, b"Request range not satisfiable")
                return
            end = min(end, len(content) - 1)
            self._say(206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"})

        def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {"Content-Type": "application/json"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._handle(super().do_GET)

        def do_POST(self) -> None:
            self._handle(super().do_POST)

        def do_PUT(self) -> None:
            self._handle(super().do_PUT)

        def do_DELETE(self) -> None:
            if "upload_id" in self.path:
                self._say(499, b"")
            else:
                self._handle(super().do_DELETE)

    return Handler


def main() -> None:
    from gcp_storage_emulator.handlers import buckets, objects
    from gcp_storage_emulator.storage import Storage

    logging.disable()
    storage = Storage(use_memory_fs=True)
    storage._write_config_to_file = lambda: None  # after each change it would write down all that there is
    buckets.create_bucket("trial", storage)
    incomplete = objects._resumable_incomplete

    def nothing_yet(response: Any, storage: Any, upload_id: str, fallback_end: int = 0) -> None:
        incomplete(response, storage, upload_id, fallback_end)
        if not storage.get_resumable_byte_count(upload_id):
            response._headers.pop("Range", None)  # it would say that one byte came

    objects._resumable_incomplete = nothing_yet
    token = sys.argv[2] if len(sys.argv) > 2 else ""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), partial(handler_class(token), storage), bind_and_activate=False)
    server.request_queue_size = 256
    server.server_bind()
    server.server_activate()
    server.serve_forever()


if __name__ == "__main__":
    main()
