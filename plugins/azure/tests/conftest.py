"""Blob storage on loopback for all tests of a session; nothing of this user's own credentials."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from azure_front import Front, front
from azurite import ACCOUNT, KEY, Azurite, azurite, program
from dovetail.components import Secret
from dovetail.testing.own_steps import BUCKET_STEPS, OwnSteps, project_with

KEYS = {"account": ACCOUNT, "account_key": Secret(KEY)}


@pytest.fixture(autouse=True)
def own_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, file or machine's identity of this user's says who asks, or where."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_", "ARM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "azure"))


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    if program() is None:
        pytest.skip(f"azurite is not installed: npm install --prefix {sys.prefix}/npm azurite")
    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def watched(blobs: Azurite) -> Iterator[Front]:
    """The same server, with somebody before it who notes every request and can let it fail."""
    with front(blobs.port) as standing:
        yield standing


@pytest.fixture
def make_store(blobs: Azurite) -> Callable[..., Any]:
    """A store below a prefix of the test's own; fields may be given. An address may leave the account out."""
    from dovetail_azure.artifact_store import AzureArtifactStore

    prefix = uuid.uuid4().hex

    def make(**fields: Any) -> AzureArtifactStore:
        given = {"path": f"az://trial/{prefix}", "endpoint_url": blobs.url, **KEYS, **fields}
        if (given["endpoint_url"] or "").count("/") == 2 and "127.0.0.1" in given["endpoint_url"]:
            given["endpoint_url"] += f"/{ACCOUNT}"
        store = AzureArtifactStore(**{name: value for name, value in given.items() if value is not None})
        store.called("blobs", "azure")
        return store

    return make


@pytest.fixture
def store(make_store: Callable[..., Any], watched: Front) -> Any:
    """A store whose requests are seen."""
    return make_store(endpoint_url=watched.url)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnSteps]:
    with project_with(BUCKET_STEPS, tmp_path, monkeypatch) as made:
        yield made
