"""The store keeps the contract of artifact stores, and the plugin that of plugins, on an emulator that tells apart who may what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conftest import KEYS
from dovetail.testing import ArtifactStoreContract, ObjectStoreContract, PluginContract
from dovetail_aws.artifact_store import S3ArtifactStore
from emulator import Emulator
from front import SLOW_DOWN, Request


class TestS3(ArtifactStoreContract):
    @pytest.fixture
    def store(self, make_store: Callable[..., S3ArtifactStore]) -> S3ArtifactStore:
        return make_store()

    @pytest.fixture
    def denied_store(self, guarded: Emulator) -> S3ArtifactStore:
        return S3ArtifactStore(path="s3://trial/denied", endpoint_url=guarded.url, **KEYS)


class TestS3ThatFails(ObjectStoreContract):
    condition = "If-None-Match"
    busy = SLOW_DOWN

    def is_create(self, request: Request) -> bool:
        return request.is_conditional

    def is_part(self, request: Request) -> bool:
        return "partNumber" in request.query


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> Any:
        return "dovetail_aws"
