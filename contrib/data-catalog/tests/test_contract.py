"""The plugin and its flavor keep their contracts."""

from __future__ import annotations

from pathlib import Path

import pytest
from dovetail.testing import PluginContract
from dovetail_data_catalog.contract import DataCatalogContract
from dovetail_data_catalog.file import FileCatalog


class TestFileCatalog(DataCatalogContract):
    @pytest.fixture
    def catalog(self, tmp_path: Path) -> FileCatalog:
        return FileCatalog(path=tmp_path / "docs" / "catalog")


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_data_catalog"
