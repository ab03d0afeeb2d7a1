"""What the service of a Bento does, in the process that serves it: reads dovetail.json, loads the model, answers."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.components.serving.children import say
from dovetail.components.serving.folder import ServingFolder
from dovetail.errors import DeploymentError, DovetailError
from dovetail.local.serving import Refused, Serving, answer, load_model
from dovetail_bentoml.frameworks import METHODS, askable
from dovetail_bentoml.guard import App, Guard

FACTS = "dovetail.json"
MODEL = "model"  # the payload, below the folder of dovetail.json
CODE = "code"  # modules of the project that the payload needs
TOKEN_VARIABLE = "DOVETAIL_BENTOML_TOKEN"  # noqa: S105  # the variable's name
GENERATION_VARIABLE = "DOVETAIL_BENTOML_GENERATION"  # the deployer's file on what is served, where a deployer of Dovetail started this
MAX_REQUEST_BYTES = 64 << 20  # where no deployer says it


@dataclass(frozen=True)
class Facts:
    """What dovetail.json says. `model`: where the payload is, below that file. `python`: such as `3.11`."""

    name: str
    framework: str
    type: str
    materializer: str
    format: int = 0
    model: str = MODEL
    methods: tuple[str, ...] = METHODS
    require_token: bool = True
    request_timeout: float = 60.0
    digest: str = ""
    python: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "methods": list(self.methods), "labels": dict(self.labels)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Facts:
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        return cls(**{**known, "methods": tuple(record["methods"])})

    @classmethod
    def read(cls, folder: Path) -> Facts:
        return cls.from_json(json.loads((folder / FACTS).read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        (folder / FACTS).write_text(json.dumps(self.to_json(), indent=1, sort_keys=True), encoding="utf-8")


@dataclass(frozen=True)
class Served:
    """`folder`: where dovetail.json is. `generation`: the deployer's file on what it serves, None where BentoML alone serves this."""

    folder: Path
    facts: Facts
    generation: Path | None

    @classmethod
    def beside(cls, file: str) -> Served:
        folder, generation = Path(file).absolute().parent, os.environ.get(GENERATION_VARIABLE)
        return cls(folder, Facts.read(folder), Path(generation) if generation else None)

    @property
    def request_timeout(self) -> float:
        return self.facts.request_timeout if self.generation is None else self._serving().timeout

    @property
    def logs_requests(self) -> bool:
        """A deployment's log is kept as long as the deployment, and the number of requests has no bound."""
        return self.generation is None

    def has(self, method: str) -> bool:
        return method in self.facts.methods

    def load(self) -> Any:
        """The model, ready to be asked."""
        serving = self._serving()
        if self.generation is None:
            self._token()
        os.environ.setdefault("DOVETAIL_PROJECT", str(self._code()))
        try:
            return askable(load_model(serving))
        except DovetailError as error:
            if self.generation is None:
                raise
            if error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            say(str(error))  # without the frames of the server above this, which would hide it
            os._exit(1)

    def _serving(self) -> Serving:
        """Whoever runs a Bento trusts it, as its service is code; a deployer says whom it trusts."""
        if self.generation is not None:
            return Serving.from_json(json.loads(self.generation.read_text(encoding="utf-8"))["serving"])
        facts = self.facts
        record = {
            "id": "", "name": facts.name, "url": "", "model": str(self.folder / facts.model), "materializer": facts.materializer,
            "type": facts.type, "trusted": True, "require_token": facts.require_token, "timeout": facts.request_timeout, "grace": 0.0,
            "max_request_bytes": MAX_REQUEST_BYTES, "materializers": installed_materializers(), "path": [str(self._code())],
        }  # fmt: skip
        return Serving.from_json(record)

    def _code(self) -> Path:
        """What names out of the payload may lead into; without modules of a project's there is nothing but the service."""
        return self.folder / CODE if (self.folder / CODE).is_dir() else self.folder

    def guard(self, app: App) -> Guard:
        serving = self._serving()
        token = self._token() if self.generation is None else ServingFolder(self.generation.parent).token()
        absent = tuple(f"/{method}" for method in METHODS if not self.has(method))
        return Guard(app, token if serving.require_token else "", serving.id, serving.max_request_bytes, absent)

    def _token(self) -> str:
        token = os.environ.get(TOKEN_VARIABLE, "")
        if self.facts.require_token and not token:
            raise DeploymentError(
                f"The Bento of {self.facts.name!r} asks its callers for a token, and has none: set {TOKEN_VARIABLE}, "
                "or build it with `require_token=False` for a network in which everybody may ask it."
            )
        return token if self.facts.require_token else ""

    def answer(self, model: Any, method: str, context: Any, instances: Any, columns: Any, **form: Any) -> dict[str, Any]:
        """The message that answers; a refusal is a sentence and a status, which the context is told."""
        data = {"instances": instances, "columns": columns}
        message = {name: value for name, value in {**data, **form}.items() if value is not None}
        try:
            if ("instances" in message) == ("columns" in message):
                raise Refused(400, 'The request must be {"instances": [row, …]} or {"columns": {"name": [value, …]}}.')
            return answer(model, {**message, "method": method})
        except Refused as refused:
            context.response.status_code = refused.status
            return {"error": str(refused)}


def installed_materializers() -> dict[str, str]:
    """All that the plugins installed here declare, as a Deployment says them."""
    from dovetail.registry import Registry

    return {name: spec.target for spec in Registry.load().materializer_specs() for name in spec.types}
