"""The store keeps the contract of artifact stores, on an emulator that tells apart who may what."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from dovetail.testing import ArtifactStoreContract, ObjectStoreContract
from dovetail_gcp.artifact_store import GcsArtifactStore
from dovetail_gcp.uploads import CHUNK
from storage_emulator import Emulator
from storage_front import BUSY, Request


class TestGcs(ArtifactStoreContract):
    @pytest.fixture
    def store(self, make_store: Callable[..., GcsArtifactStore]) -> GcsArtifactStore:
        return make_store()

    @pytest.fixture
    def denied_store(self, guarded: Emulator) -> GcsArtifactStore:
        return GcsArtifactStore(path="gs://trial/denied", endpoint_url=guarded.url)


class TestGcsThatFails(ObjectStoreContract):
    condition = "ifGenerationMatch"
    busy = BUSY

    def is_create(self, request: Request) -> bool:
        return request.is_create

    def is_part(self, request: Request) -> bool:
        return request.verb == "PART"

    def content(self, store: Any, parts: int = 1) -> bytes:
        return os.urandom(parts * CHUNK + 1)
