"""What an endpoint's container runs: `python -m dovetail_aws.sagemaker_serving`, the ENTRYPOINT of its image.

SageMaker puts the model's files where `MODEL` says, asks `GET /ping` whether they are loaded, and hands on `POST /invocations`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dovetail.components.model_deployer import Deployment
from dovetail.components.serving.children import say
from dovetail.local.serving import Refused, Serving, answer, load_model

MODEL = Path("/opt/ml/model")
_PORT = "SAGEMAKER_BIND_TO_PORT"
_LONGEST = 64 << 20  # bytes of a request; SageMaker itself takes less


def description(deployment: Deployment) -> bytes:
    """What the container has to know of a deployment: how its files are read."""
    known = {"materializer": deployment.materializer, "type": deployment.type, "trusted": deployment.trusted}
    return json.dumps({"name": deployment.name, **known, "materializers": dict(deployment.materializers)}).encode()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    told = json.loads((MODEL / "serving.json").read_text(encoding="utf-8"))
    serving = Serving(
        id="", url="", model=str(MODEL / "data"), require_token=False, timeout=60.0, grace=0.0, max_request_bytes=_LONGEST, **told,
    )  # fmt: skip
    try:
        model = load_model(serving)
    except Exception as error:  # of a materializer, of whatever kind
        traceback.print_exception(error.__cause__ or error)
        say(f"the model cannot be loaded: {type(error).__name__}: {error}")
        sys.exit(1)
    server = Server(int(os.environ.get(_PORT, "8080")), model)
    say(f"serves {serving.name!r}")
    server.serve_forever()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, model: Any) -> None:
        super().__init__(("", port), _Handler)
        self.model = model


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._say(200 if self.path == "/ping" else 404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _LONGEST))
        try:
            message = json.loads(body)
            if not isinstance(message, dict):
                raise Refused(400, 'The request must be {"instances": [row, …]} or {"columns": {"name": [value, …]}}.')
            self._say(200, answer(self.server.model, message))
        except Refused as refused:
            say(f"refused: {refused}")
            self._say(refused.status, {"error": str(refused)})
        except ValueError as error:
            self._say(400, {"error": f"The request is not JSON: {error}."})

    def _say(self, status: int, message: Any) -> None:
        body = json.dumps(message, allow_nan=False).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Requests that were answered are not logged: their number has no bound."""


if __name__ == "__main__":
    main()
