"""The store keeps the contract of artifact stores, and the plugin that of plugins, on an emulator that tells apart who may what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conftest import KEYS
from dovetail.testing import ArtifactStoreContract, PluginContract
from dovetail_aws.artifact_store import S3ArtifactStore
from emulator import Emulator


class TestS3(ArtifactStoreContract):
    @pytest.fixture
    def store(self, make_store: Callable[..., S3ArtifactStore]) -> S3ArtifactStore:
        return make_store()

    @pytest.fixture
    def denied_store(self, guarded: Emulator) -> S3ArtifactStore:
        return S3ArtifactStore(path="s3://trial/denied", endpoint_url=guarded.url, **KEYS)


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> Any:
        return "dovetail_aws"
