"""The store keeps the contracts of artifact stores and of those that lie in a bucket, and the plugin that of plugins, on azurite."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from azure_front import BUSY, Front, Request
from azurite import signature
from dovetail.components import Secret
from dovetail.testing import ArtifactStoreContract, ObjectStoreContract, PluginContract
from dovetail_azure.artifact_store import AzureArtifactStore


class TestAzure(ArtifactStoreContract):
    @pytest.fixture
    def store(self, make_store: Callable[..., AzureArtifactStore]) -> AzureArtifactStore:
        return make_store()

    @pytest.fixture
    def denied_store(self, make_store: Callable[..., AzureArtifactStore]) -> AzureArtifactStore:
        return make_store(account_key=Secret(base64.b64encode(b"another key").decode()))


class TestAzureThatFails(ObjectStoreContract):
    condition = "If-None-Match"
    busy = BUSY

    @pytest.fixture
    def unsigned_store(self, make_store: Callable[..., AzureArtifactStore], watched: Front) -> AzureArtifactStore:
        return make_store(endpoint_url=watched.url, account_key=None, sas=Secret(signature()))

    def is_create(self, request: Request) -> bool:
        return request.is_conditional

    def is_part(self, request: Request) -> bool:
        return request.verb == "BLOCK"


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> Any:
        return "dovetail_azure"
