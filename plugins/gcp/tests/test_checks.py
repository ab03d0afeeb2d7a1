"""`dovetail stack check` without network ends soon, and says what could not be reached; without credentials, how to sign in."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from dovetail.components.component import Component
from dovetail_docker.testing import free_port
from dovetail_gcp.container_registry import ArtifactRegistry
from dovetail_gcp.secret_store import GcpSecretStore
from dovetail_gcp.vertex_model_deployer import VertexModelDeployer
from dovetail_gcp.vertex_model_registry import VertexModelRegistry
from dovetail_gcp.vertex_orchestrator import VertexOrchestrator
from dovetail_gcp.vertex_step_operator import VertexStepOperator
from dovetail_gcp.vertex_tracker import VertexTracker

_PLACE = {"project": "p", "location": "europe-west4"}
_MODELS = {**_PLACE, "image": "i", "bucket": "gs://bucket/models"}
_REGISTRY = {"uri": "europe-west4-docker.pkg.dev/p/images"}
_ALL = [
    (VertexOrchestrator, _PLACE), (VertexStepOperator, _PLACE), (VertexTracker, _PLACE), (VertexModelRegistry, _MODELS), (VertexModelDeployer, _MODELS),
    (GcpSecretStore, {"project": "p"}), (ArtifactRegistry, _REGISTRY),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "fields"), _ALL)
def test_where_nobody_answers_it_says_so_soon(cls: type[Component], fields: dict[str, Any]) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert _checked(cls, {**fields, "endpoint_url": f"http://{address}"}).count("127.0.0.1") > 0


@pytest.mark.parametrize(("cls", "fields"), _ALL)
def test_without_credentials_it_says_how_to_sign_in(cls: type[Component], fields: dict[str, Any]) -> None:
    assert "gcloud auth application-default login" in _checked(cls, fields)


def test_a_region_that_there_is_not_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth.credentials import AnonymousCredentials

    def unknown(host: Any, *_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, f"Name or service not known: {host}")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(VertexStepOperator, "google_credentials", lambda _: AnonymousCredentials())  # type: ignore[no-untyped-call]
    problem = _checked(VertexStepOperator, {"project": "p", "location": "europe-west99"})
    assert "europe-west99-aiplatform.googleapis.com" in problem
    assert "there is no region 'europe-west99': see `gcloud compute regions list`" in problem


def _checked(cls: type[Component], fields: dict[str, Any]) -> str:
    begun = time.monotonic()
    [problem] = cls(**fields).called("mine", "vertex").check()
    assert time.monotonic() - begun < 15
    assert "'mine'" in problem
    return problem
