"""The built-in secret store keeps the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.local.secret_store import LocalSecretStore
from dovetail.testing import SecretStoreContract


class TestLocalSecretStore(SecretStoreContract):
    @pytest.fixture
    def secret_store(self, tmp_path: Path) -> LocalSecretStore:
        return LocalSecretStore(path=tmp_path / "secrets")
