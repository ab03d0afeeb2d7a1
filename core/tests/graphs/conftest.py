"""The plugin `graph_engine`, installed for a test and for the processes that its engine starts."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def graph_engine(install_plugin: Callable[[str, str], Path]) -> Iterator[Any]:
    install_plugin("graph_engine", Path(__file__).with_name("graph_engine.py").read_text(encoding="utf-8"))
    yield importlib.import_module("graph_engine")
    sys.modules.pop("graph_engine", None)


@pytest.fixture
def variables() -> dict[str, str]:
    """What the engine's processes need to find the plugin, and to be measured."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_") or name == "PYTHONPATH"}
