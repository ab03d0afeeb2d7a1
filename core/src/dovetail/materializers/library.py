"""Importing the library that a materializer serves, on use."""

from __future__ import annotations

import importlib
from typing import Any

from dovetail.errors import MaterializerError


def library(module: str, install: str = "", why: str = "") -> Any:
    """The imported module; where it is missing, an error that names the distribution to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = install or module.partition(".")[0]
        purpose = why or "This value is saved and loaded by"
        raise MaterializerError(
            f"{purpose} {name}, which cannot be imported here ({error}). Run `pip install {name}`."
        ) from error
