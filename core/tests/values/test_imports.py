"""An import string that somebody wrote is followed into the project only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dovetail.errors import DefinitionError
from dovetail.values.imports import load_of_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_rules.py").write_text("class Rules:\n    most = 3\n", encoding="utf-8")
    monkeypatch.setenv("DOVETAIL_PROJECT", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("own_rules", None)


def test_a_name_of_the_project_is_followed(project: Path) -> None:
    assert load_of_project("own_rules:Rules.most") == 3


@pytest.mark.parametrize("target", ["os:system", "subprocess:run", "not_there:rule", "own_rules", "", ":Rules", "../own_rules:Rules"])
def test_a_name_that_leads_elsewhere_is_not_imported(project: Path, target: str) -> None:
    with pytest.raises(DefinitionError, match="leads to nothing in this project"):
        load_of_project(target)
    assert "own_rules" not in sys.modules


def test_a_name_that_is_not_there_is_told_of(project: Path) -> None:
    with pytest.raises(DefinitionError, match=r"'own_rules:Missing' cannot be imported.*Missing"):
        load_of_project("own_rules:Missing")
