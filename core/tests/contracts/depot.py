"""A service of objects on loopback, and an artifact store on it, as somebody else would write one."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from dovetail.components.object_store import ObjectInfo, ObjectStore, Page
from dovetail.components.transfers import BrokenOff, Denied, NoAnswer, ObjectStoreError, Part, Source, Taken, Unreachable, absent

# -- the service: PUT with `If-None-Match: *`, parts that `?made-of=` puts together, GET with a range, HEAD, DELETE, GET /?prefix= ----------


@dataclass
class Depot:
    port: int = 0
    objects: dict[str, tuple[bytes, str, str, str]] = field(default_factory=dict)  # content, its writer, the time, its version
    parts: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    depot: Depot

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key, query = self.place()
        if "part" in query:
            self.depot.parts[query["part"][0]] = body
            self.say(200)
            return
        with self.depot.lock:
            if self.headers.get("If-None-Match") == "*" and key in self.depot.objects:
                self.say(412)
                return
            content = b"".join(self.depot.parts.pop(name) for name in json.loads(body)) if "made-of-parts" in query else body
            self.depot.objects[key] = (content, self.headers.get("Writer", ""), self.date_time_string(), str(time.monotonic_ns()))
        self.say(200)

    def do_GET(self) -> None:
        key, query = self.place()
        if not key:
            self.list(query)
            return
        found = self.depot.objects.get(key)
        if found is None or self.headers.get("If-Match") not in (None, found[3]):
            self.say(404 if found is None else 412)
            return
        content, headers = found[0], {"Writer": found[1], "Last-Modified": found[2], "Version": found[3], "Total": str(len(found[0]))}
        asked = self.headers.get("Range")
        if asked is not None:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            content = content[int(start) : int(end) + 1]
        self.say(200, content, headers)

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        with self.depot.lock:
            self.say(200 if self.depot.objects.pop(self.place()[0], None) else 404)

    def list(self, query: dict[str, list[str]]) -> None:
        prefix, after = query["prefix"][0], query.get("after", [""])[0]
        keys = sorted(key for key in list(self.depot.objects) if key.startswith(prefix) and key > after)
        page = [(key, len(self.depot.objects[key][0]), self.depot.objects[key][2]) for key in keys[:500]]
        self.say(200, json.dumps({"depot": 1, "objects": page, "more": len(keys) > 500}).encode())

    def place(self) -> tuple[str, dict[str, list[str]]]:
        url = urlsplit(self.path)
        return unquote(url.path[1:]), parse_qs(url.query, keep_blank_values=True)

    def say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status if self.headers.get("Token") != "wrong" else 403)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is part of many a test."""


@contextmanager
def depot() -> Iterator[Depot]:
    running = Depot()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"depot": running}))
    running.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -- the store -------------------------------------------------------------------------------------------------------------


class DepotStore(ObjectStore):
    atomic_create: ClassVar[str] = "PUT with If-None-Match: *"
    scheme: ClassVar[str] = "depot"

    endpoint_url: str
    token: str = ""
    read_timeout: float = 10.0

    def put_object(self, path: str, content: bytes, writer: str | None) -> None:
        self._ask("PUT", path, content, {"If-None-Match": "*", "Writer": writer} if writer is not None else {})

    @contextmanager
    def upload_object(self, path: str, source: Source, writer: str) -> Iterator[Callable[[], object]]:
        def send(start: int, size: int) -> str:
            name = f"{writer}-{start}"
            self._ask("PUT", path, source.part(start, size), query=f"?part={name}")
            return name

        parts = json.dumps(self.in_parts(send, source.size)).encode()
        yield lambda: self._ask("PUT", path, parts, {"If-None-Match": "*", "Writer": writer}, query="?made-of-parts=1")

    def head_object(self, path: str) -> ObjectInfo | None:
        try:
            _, headers = self._ask("HEAD", path)
        except FileNotFoundError:
            return None
        if "Last-Modified" not in headers:
            raise ObjectStoreError("What answers at 127.0.0.1 is no depot. Check `endpoint_url`.")
        return ObjectInfo(self.key_of(path), int(headers["Total"]), parsedate_to_datetime(headers["Last-Modified"]).timestamp(), headers["Writer"])

    def get_object(self, path: str, span: tuple[int, int] | None = None, version: str = "") -> Part | None:
        asked = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span is not None else {}
        content, headers = self._ask("GET", path, headers={**asked, **({"If-Match": version} if version else {})})
        if "Total" not in headers:
            raise ObjectStoreError("What answers at 127.0.0.1 is no depot. Check `endpoint_url`.")
        return Part(span[0] if span else 0, len(content), int(headers["Total"]), headers["Version"], iter([content])) if content else None

    def list_objects(self, prefix: str, *, deep: bool) -> Iterator[Page]:
        after, folders = "", set()
        while True:
            content, _ = self._ask("GET", "", query=f"?{urlencode({'prefix': prefix, 'after': after})}", bare=True)
            try:
                page = json.loads(content)
            except ValueError:
                raise ObjectStoreError("What answers at 127.0.0.1 is no depot. Check `endpoint_url`.") from None
            found = [ObjectInfo(key, size, parsedate_to_datetime(date).timestamp()) for key, size, date in page["objects"]]
            below = {info.key: info.key[len(prefix) :].partition("/") for info in found}
            new = {f"{prefix}{name}/" for name, mark, _ in below.values() if mark} - folders if not deep else set()
            folders |= new
            yield Page([info for info in found if deep or not below[info.key][1]], sorted(new))
            if not page["more"]:
                return
            after = found[-1].key

    def delete_object(self, path: str) -> None:
        self._ask("DELETE", path)

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, query: str = "", bare: bool = False
    ) -> tuple[bytes, Any]:
        target = f"/{'' if bare else quote(self.key_of(path))}{query}"
        for number in range(1, self.attempts + 1):
            try:
                return self._once(method, target, path, body, {**(headers or {}), "Token": self.token}, number > 1)
            except (ConnectionError, TimeoutError):
                if number == self.attempts:
                    raise
                time.sleep(0.05 * number)
        raise AssertionError("attempts is at least 1")

    def _once(self, method: str, target: str, path: str, body: bytes, headers: dict[str, str], repeated: bool) -> tuple[bytes, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.endpoint_url).port, timeout=self.read_timeout)
        where, reached = f"The depot at {self.endpoint_url}", False
        try:
            connection.connect()
            reached = True
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except http.client.IncompleteRead:
            raise BrokenOff(f"{where} broke off. Try again.") from None
        except TimeoutError:
            raise NoAnswer(f"{where} did not answer. Try again.", repeated=repeated) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{where} cannot be reached: {error}. Start it.", repeated=repeated, reached=reached) from None
        finally:
            connection.close()
        self.heard(answer.headers.get("Date", ""))
        if answer.status == 404:
            raise absent(path)
        if answer.status >= 300:
            kind = {412: Taken, 403: Denied, 503: Unreachable}.get(answer.status, ObjectStoreError)
            raise kind(f"{where} said {answer.status} of '{path}'. Look into its log.", repeated=repeated)
        return content, answer.headers
