"""The contracts find what is wrong: each wrong implementation is caught by the promise that it breaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest

from dovetail.errors import DefinitionError
from dovetail.testing import ArtifactStoreContract, Contract

WRONG = Path(__file__).with_name("wrong.py")
MARKS = ("caught_by", "let_through", "errs_in")


def marked() -> dict[str, tuple[str, str]]:
    """(mark, promise) by the name of each class in `wrong.py`, read without importing it."""
    import ast

    found = {}
    for node in ast.parse(WRONG.read_text(encoding="utf-8")).body:
        for line in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id in MARKS:
                found[node.name] = (line.targets[0].id, ast.literal_eval(line.value))
    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ElementTree.Element]:
    """What pytest says of each wrong implementation's promise."""
    folder = tmp_path_factory.mktemp("teeth")
    report = folder / "report.xml"
    asked = [f"{WRONG}::{name}::{promise}" for name, (_, promise) in marked().items()]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *asked,
        "-q",
        "-p",
        "no:cacheprovider",
        f"--basetemp={folder / 'tests'}",
        f"--junitxml={report}",
    ]
    done = subprocess.run(command, cwd=WRONG.parents[3], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    return {case.get("classname", "").rpartition(".")[2]: case for case in ElementTree.parse(report).iter("testcase")}


@pytest.mark.parametrize("name", [name for name, (mark, _) in marked().items() if mark == "caught_by"])
def test_each_wrong_implementation_is_caught_by_the_promise_it_breaks(name: str, outcomes: Mapping[str, Any]) -> None:
    assert [child.tag for child in outcomes[name] if child.tag in ("failure", "error", "skipped")] == ["failure"]


def test_the_tracker_that_the_wrong_ones_are_made_of_keeps_every_promise(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", f"{WRONG}::TestInMemory", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tests'}"]
    done = subprocess.run(command, cwd=WRONG.parents[3], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_promise_that_is_waived_with_a_reason_is_let_through(outcomes: Mapping[str, Any]) -> None:
    (skipped,) = [child for child in outcomes["TestWaivedPromise"] if child.tag != "properties"]
    assert (skipped.get("type"), skipped.get("message")) == ("pytest.xfail", "it overwrites")


def test_a_waiver_that_is_no_longer_needed_says_so(outcomes: Mapping[str, Any]) -> None:
    (failure,) = [child for child in outcomes["TestNeedlessWaiver"] if child.tag == "failure"]
    assert "[XPASS(strict)] it was not, once" in failure.get("message")


def test_a_waiver_does_not_hide_a_fixture_that_fails(outcomes: Mapping[str, Any]) -> None:
    (error,) = [child for child in outcomes["TestBrokenFixture"] if child.tag == "error"]
    assert "there is no such server" in error.get("message")


def test_a_waiver_of_an_unknown_promise_is_refused_with_the_nearest() -> None:
    with pytest.raises(DefinitionError, match="no promise. Did you mean 'test_what_was_created_is_read_back'"):

        class TestMisspelt(ArtifactStoreContract):
            waived: ClassVar = {"test_what_was_created_is_red_back": "a reason"}


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_a_waiver_without_a_reason_is_refused(reason: Any) -> None:
    with pytest.raises(DefinitionError, match="no reason for test_what_was_created_is_read_back"):

        class TestSilent(ArtifactStoreContract):
            waived: ClassVar = {"test_what_was_created_is_read_back": reason}


def test_a_promise_cannot_be_overridden_in_silence() -> None:
    with pytest.raises(DefinitionError, match="the promise test_what_was_created_is_read_back is overridden"):

        class TestOverriding(ArtifactStoreContract):
            test_what_was_created_is_read_back = None


def test_an_author_may_add_tests_and_change_them_below() -> None:
    class TestMine(Contract):
        def test_mine(self) -> None: ...

    class TestMineAgain(TestMine):
        def test_mine(self) -> None: ...
