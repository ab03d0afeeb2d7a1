"""The built-in artifact stores keep the contract."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.memory_store import MemoryArtifactStore
from dovetail.testing import ArtifactStoreContract

_NOBODY = 65534


class TestLocalArtifactStore(ArtifactStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalArtifactStore:
        return LocalArtifactStore(path=tmp_path / "store")

    @pytest.fixture
    def denied_store(self, tmp_path: Path) -> Iterator[LocalArtifactStore]:
        folder = tmp_path / "denied"
        folder.mkdir(mode=0o000)
        before = os.geteuid()
        if before == 0:
            os.seteuid(_NOBODY)  # nothing is denied to the superuser
        try:
            yield LocalArtifactStore(path=folder)
        finally:
            os.seteuid(before)
            folder.chmod(0o700)


class TestMemoryArtifactStore(ArtifactStoreContract):
    waived: ClassVar = {
        "test_of_creators_in_other_processes_exactly_one_wins": "no other process sees this process's memory",
        "test_a_step_in_another_process_finds_its_way_by_the_address": "no other process sees this process's memory",
        "test_what_is_denied_raises_permission_error": "memory denies nothing",
        "test_a_store_that_denies_everything_is_found_by_its_check": "memory denies nothing",
    }

    @pytest.fixture
    def store(self) -> MemoryArtifactStore:
        return MemoryArtifactStore(bucket=uuid.uuid4().hex)
