"""The server in a container of Vertex AI's: `python -m dovetail_gcp.vertex_serving`.

It keeps the contract that Vertex AI has with containers: the files are at AIP_STORAGE_URI, it listens at AIP_HTTP_PORT, answers
AIP_HEALTH_ROUTE once the model is loaded, and `{"instances": [row, …]}` at AIP_PREDICT_ROUTE with `{"predictions": […]}`. Dovetail's
own callers send one instance, `{"dovetail": text}`, whose answer is text too: so all values keep their types on the way.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dovetail.errors import DovetailError

OWN = "dovetail"  # the key of an instance that is a message of Dovetail's
HEALTH = "health"  # such a message that only asks whether somebody is there
_MOST = 64 << 20


def main() -> None:
    try:
        model = _loaded(json.loads(os.environ["DOVETAIL_MODEL"]), _fetched(os.environ["AIP_STORAGE_URI"]))
    except DovetailError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(error, file=sys.stderr, flush=True)  # noqa: T201  # the service keeps it as the log
        raise SystemExit(1) from None
    server = ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("AIP_HTTP_PORT", "8080"))), _handler(model))  # noqa: S104  # of a container
    server.daemon_threads = True
    server.serve_forever()


def _fetched(address: str) -> str:
    """A local folder with the files at a gs:// address."""
    from dovetail_gcp.artifact_store import GcsArtifactStore

    store = GcsArtifactStore(path=address)
    folder = Path(tempfile.mkdtemp(prefix="dovetail-model-"))
    for path, entry in store.walk(""):
        if not entry.is_folder:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            store.fetch(path, target)
    return str(folder)


def _loaded(about: Mapping[str, Any], folder: str) -> Any:
    from dovetail.local.serving import Serving, load_model

    fields = {name: about[name] for name in ("name", "materializer", "type", "trusted", "materializers")}
    return load_model(Serving(id="", url="", model=folder, require_token=False, timeout=0, grace=0, max_request_bytes=_MOST, **fields))


def answered(model: Any, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and answer for a request of Vertex AI's form."""
    from dovetail.local.serving import Refused, answer

    instances = body.get("instances")
    if not isinstance(instances, list):
        return 400, {"error": 'The request must be {"instances": [row, …]}.'}
    own = instances[0].get(OWN) if len(instances) == 1 and isinstance(instances[0], dict) else None
    if own == HEALTH:
        return 200, {"predictions": [HEALTH]}
    try:
        if isinstance(own, str):
            return 200, {"predictions": [json.dumps(answer(model, json.loads(own)))]}
        parameters = body.get("parameters")
        method = parameters.get("method", "predict") if isinstance(parameters, dict) else "predict"
        told = answer(model, {"instances": instances, "method": method})["predictions"]
        return 200, {"predictions": told if isinstance(told, list) else [told]}
    except Refused as refused:
        if isinstance(own, str):
            return 200, {"predictions": [json.dumps({"error": str(refused)})]}
        return refused.status, {"error": str(refused)}


def _handler(model: Any) -> type[BaseHTTPRequestHandler]:
    health, predict = os.environ.get("AIP_HEALTH_ROUTE", "/health"), os.environ.get("AIP_PREDICT_ROUTE", "/predict")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer is sent at once, not its head first

        def do_GET(self) -> None:
            self._say(*((200, {"status": "ok"}) if self.path == health else (404, {"error": f"There is no GET {self.path[:80]}."})))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            try:
                body = json.loads(self.rfile.read(min(length, _MOST)))
            except (ValueError, RecursionError) as error:
                return self._say(400, {"error": f"The request is not JSON: {error}."})
            if self.path != predict or not isinstance(body, dict):
                return self._say(404, {"error": f"There is no POST {self.path[:80]} for such a request."})
            return self._say(*answered(model, body))

        def _say(self, status: int, message: Mapping[str, Any]) -> None:
            content = json.dumps(message).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Requests that were answered are not logged: their number has no bound."""

    return Handler


if __name__ == "__main__":
    main()
