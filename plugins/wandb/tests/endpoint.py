"""A small W&B server on loopback: as much of its GraphQL and its file stream as the real client asks for."""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEY = "k" * 40


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """The client ends its process with connections open."""


class Endpoint:
    """`asked`: (operation, variables, key) of each GraphQL request; `stream`: the lines of each file of a run; `uploads`: by path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.stream: dict[str, dict[str, list[Any]]] = {}
        self.done: dict[str, int] = {}
        self.uploads: dict[str, bytes] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.entity = "team"
        self._lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def history(self, run: str) -> list[dict[str, Any]]:
        lines = self.stream.get(run, {}).get("wandb-history.jsonl", [])
        return [{name: value for name, value in json.loads(line).items() if not name.startswith("_")} for line in lines]

    def summary(self, run: str) -> dict[str, Any]:
        lines = self.stream.get(run, {}).get("wandb-summary.json", [])
        return json.loads(lines[-1]) if lines else {}

    def answer(self, query: str, variables: dict[str, Any], key: str) -> dict[str, Any]:
        found = re.search(r"(?:query|mutation)\s*(\w+)", query)
        name = found.group(1) if found else ""
        with self._lock:
            self.asked.append((name, variables, key))
            say = getattr(self, f"_{name}", None)
            if say is not None:
                return say(variables)
        if "__type" in query or "__schema" in query:
            return {"__type": {"fields": []}, "QueryType": {"fields": []}, "MutationType": {"fields": []}, "UpsertBucketInput": {"inputFields": []}}
        return {}

    def _Viewer(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "v", "entity": self.entity, "username": "u", "flags": "{}", "teams": {"edges": []}}}

    def _ServerInfo(self, variables: dict[str, Any]) -> dict[str, Any]:
        versions = {"max_cli_version": "9", "min_cli_version": "0"}
        return {"serverInfo": {"cliVersionInfo": versions, "latestLocalVersionInfo": None, "features": []}}

    _ServerInfoQuery = _ServerInfo

    def _RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:
        known = self.runs.get(variables["name"])
        if known is None:
            return {"model": {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": self.entity}, "bucket": None}}
        lines = self.stream.get(variables["name"], {})
        history = lines.get("wandb-history.jsonl", [])
        bucket = {
            "id": "i", "name": variables["name"], "summaryMetrics": json.dumps(self.summary(variables["name"])), "displayName": "n",
            "logLineCount": 0, "historyLineCount": len(history), "eventsLineCount": 0, "historyTail": json.dumps(history[-1:]),
            "eventsTail": "[]", "config": known.get("config") or "{}", "tags": known.get("tags") or [], "wandbConfig": '{"t": 1}',
        }  # fmt: skip
        return {"model": {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": self.entity}, "bucket": bucket}}

    def _UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        said = {name: value for name, value in variables.items() if value is not None}
        inserted = variables["name"] not in self.runs
        self.runs.setdefault(variables["name"], {}).update(said)
        project = {"id": "p", "name": variables.get("project") or "p", "entity": {"id": "e", "name": self.entity}}
        bucket = {
            "id": "i", "name": variables["name"], "displayName": variables.get("displayName") or "n", "description": None,
            "config": self.runs[variables["name"]].get("config", "{}"), "sweepName": None, "project": project, "historyLineCount": 0,
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": file, "uploadUrl": f"{self.url}/upload/{file}"} for file in variables["files"]]
        return {"createRunFiles": {"runID": "i", "uploadHeaders": [], "files": files}}

    def _ArtifactType(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _CreateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.artifacts.append(variables.get("input") or variables)
        artifact = {"id": f"a{len(self.artifacts)}", "state": "COMMITTED", "artifactSequence": {"id": "s", "latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def _handler(outer) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None: ...

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("content-length") or 0))
                return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

            def _key(self) -> str:
                login = self.headers.get("authorization", "").partition(" ")[2]
                return base64.b64decode(login).decode().partition(":")[2]

            def _any(self) -> None:
                body, status, answer = self._body(), 200, {}
                if self.path.startswith("/graphql"):
                    if self._key() != KEY:
                        status, answer = 401, {"errors": [{"message": "invalid key"}]}
                    else:
                        asked = json.loads(body)
                        answer = {"data": outer.answer(asked["query"], asked.get("variables") or {}, self._key())}
                elif "file_stream" in self.path:
                    outer.take(self.path.split("/")[-2], json.loads(body))
                    answer = {"exitcode": None, "limits": {}}
                else:
                    outer.uploads[self.path] = body
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = _any

        return Handler

    def take(self, run: str, message: dict[str, Any]) -> None:
        with self._lock:
            for name, part in (message.get("files") or {}).items():
                kept = self.stream.setdefault(run, {}).setdefault(name, [])
                del kept[part.get("offset", len(kept)) :]
                kept.extend(part["content"])
            if message.get("complete"):
                self.done[run] = message.get("exitcode", 0)


@contextmanager
def serving() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.server.shutdown()
        endpoint.server.server_close()
        thread.join()
