"""What the service of a Bento does, in the process that serves it: reads dovetail.json, loads the model, answers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.errors import DeploymentError
from dovetail_bentoml.frameworks import METHODS, askable
from dovetail_bentoml.guard import App, Guard

FACTS = "dovetail.json"
MODEL = "model"  # the payload, below the folder of dovetail.json
CODE = "code"  # modules of the project that the payload needs
TOKEN_VARIABLE = "DOVETAIL_BENTOML_TOKEN"  # noqa: S105  # the variable's name
DEPLOYMENT_VARIABLE = "DOVETAIL_BENTOML_DEPLOYMENT"  # the folder of the deployment, where a deployer of Dovetail started this


@dataclass(frozen=True)
class Facts:
    """What dovetail.json says. `model`: where the payload is, below that file where it is relative."""

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
    """`folder`: where dovetail.json is. `deployment`: the deployer's folder, None where BentoML alone serves this."""

    folder: Path
    facts: Facts
    deployment: Path | None

    @classmethod
    def beside(cls, file: str) -> Served:
        folder, deployment = Path(file).absolute().parent, os.environ.get(DEPLOYMENT_VARIABLE)
        return cls(folder, Facts.read(folder), Path(deployment) if deployment else None)

    @property
    def request_timeout(self) -> float:
        return self.facts.request_timeout

    def has(self, method: str) -> bool:
        return method in self.facts.methods

    def load(self) -> Any:
        """The model, ready to be asked. Whoever runs a Bento trusts it, as its service is code; a deployer says whom it trusts."""
        from dovetail.local.serving import load_model
        from dovetail.local.serving_folder import Serving, ServingFolder

        if self.deployment is not None:
            return askable(load_model(ServingFolder(self.deployment).serving()))
        self._token()
        facts = self.facts
        os.environ.setdefault("DOVETAIL_PROJECT", str(self._code()))
        record = {
            "id": "", "name": facts.name, "url": "", "model": str(self.folder / facts.model), "materializer": facts.materializer,
            "type": facts.type, "trusted": True, "require_token": facts.require_token, "timeout": facts.request_timeout, "grace": 0.0,
            "max_request_bytes": 0, "materializers": installed_materializers(), "path": [str(self._code())],
        }  # fmt: skip
        return askable(load_model(Serving.from_json(record)))

    def _code(self) -> Path:
        """What names out of the payload may lead into; without modules of a project's there is nothing but the service."""
        return self.folder / CODE if (self.folder / CODE).is_dir() else self.folder

    def guard(self, app: App) -> Guard:
        if self.deployment is None:
            return Guard(app, self._token(), "")
        from dovetail.local.serving_folder import ServingFolder

        folder = ServingFolder(self.deployment)
        serving = folder.serving()
        return Guard(app, folder.token() if serving.require_token else "", serving.id)

    def _token(self) -> str:
        token = os.environ.get(TOKEN_VARIABLE, "")
        if self.facts.require_token and not token:
            raise DeploymentError(
                f"The Bento of {self.facts.name!r} asks its callers for a token, and has none: set {TOKEN_VARIABLE}, "
                "or build it with `require_token=False` for a network in which everybody may ask it."
            )
        return token if self.facts.require_token else ""

    def answer(self, model: Any, method: str, instances: Any, columns: Any, **form: Any) -> dict[str, Any]:
        """Raises BentoML's own errors, which become an answer with the status 400 and a sentence."""
        from dovetail.local.serving import answer
        from dovetail.local.serving_http import Refused

        data = {"instances": instances, "columns": columns}
        message = {name: value for name, value in {**data, **form}.items() if value is not None}
        if ("instances" in message) == ("columns" in message):
            raise _refused(400, 'The request must be {"instances": [row, …]} or {"columns": {"name": [value, …]}}.')
        try:
            return answer(model, {**message, "method": method})
        except Refused as refused:
            raise _refused(refused.status, str(refused)) from refused


def installed_materializers() -> dict[str, str]:
    """All that the plugins installed here declare, as a Deployment says them."""
    from dovetail.registry import Registry

    return {name: spec.target for spec in Registry.load().materializer_specs() for name in spec.types}


def _refused(status: int, sentence: str) -> Exception:
    from http import HTTPStatus

    from bentoml.exceptions import BentoMLException

    error: Exception = BentoMLException(sentence, error_code=HTTPStatus(status))
    return error
