"""A page that links to wheels of what is installed here, on loopback, for who has the password."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from dovetail.planning.wheels import closure_of, wheel_of

USER, PASSWORD = "builder", "s3cret-of-the-index-4711"


class WheelIndex:
    """`url`: with user and password, as an image builder is given it. `asked`: paths that were asked for."""

    def __init__(self, names: Iterable[str]) -> None:
        self.wheels = dict(wheel_of(name) for name in closure_of(names))
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{USER}:{PASSWORD}@{self.place}/"

    def __enter__(self) -> WheelIndex:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = unquote(request.path.lstrip("/"))
        self.asked.append(name)
        expected = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        body = "".join(f'<a href="{each}">{each}</a>\n' for each in sorted(self.wheels)).encode() if not name else self.wheels.get(name, b"")
        status = 401 if request.headers.get("Authorization") != expected else 200 if body else 404
        if status == 401:
            body = b"who are you?"
        request.send_response(status)
        if status == 401:
            request.send_header("WWW-Authenticate", 'Basic realm="wheels"')
        request.send_header("Content-Type", "text/html" if not name else "application/octet-stream")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
