"""Nothing outside a temporary folder is touched."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.mktemp("isolated")
    for name in ("DOVETAIL_STACK", "DOVETAIL_PROJECT", "DOVETAIL_PLUGINS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOVETAIL_HOME", str(place / "home"))
    monkeypatch.setenv("DOVETAIL_CACHE", str(place / "cache"))
    monkeypatch.setenv("DOVETAIL_QUIET", "1")
    (place / "work").mkdir()
    monkeypatch.chdir(place / "work")
    return place / "work"
