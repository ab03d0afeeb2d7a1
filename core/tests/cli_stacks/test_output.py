"""Printing rows and single things."""

from __future__ import annotations

import datetime as dt
import json
import sys

import pytest

from dovetail.cli.output import print_one, print_rows, shown

ROWS = [{"name": "a", "run_count": 1, "extra": {"b": None}}, {"name": "longer", "run_count": 20.5}]


def test_a_table_is_aligned_and_shows_the_columns_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, ["name", "run_count"], "table")
    assert capsys.readouterr().out == "NAME    RUN COUNT\na       1\nlonger  20.5\n"


def test_json_and_yaml_hold_everything(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, ["name"], "json")
    assert json.loads(capsys.readouterr().out) == ROWS
    print_rows([{"when": dt.date(2026, 1, 2), "name": "ä"}], ["name"], "yaml")
    assert capsys.readouterr().out == "- when: '2026-01-02'\n  name: ä\n"


def test_an_empty_list_says_so_on_stderr_and_is_empty_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], ["name"], "table", empty="No runs yet.")
    assert capsys.readouterr() == ("", "No runs yet.\n")
    print_rows([], ["name"], "json")
    assert capsys.readouterr().out == "[]\n"


def test_a_terminal_gets_a_table_by_rich(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    print_rows([{"name": "[red]a[/red]", "n": 1}], ["name", "n"], "table")
    assert "[red]a[/red]" in capsys.readouterr().out


def test_nothing_that_is_shown_can_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"name": "a\x1b[2Jb\r\n\u202ec"}], ["name"], "table")
    assert capsys.readouterr().out == "NAME\na\\x1b[2Jb\\r\\n\\u202ec\n"


def test_one_thing_is_shown_key_by_key(capsys: pytest.CaptureFixture[str]) -> None:
    print_one({"a_b": 1, "inner": {"x": True, "yy": []}, "rows": [{"p": 1, "q": 2}], "none": None, "empty": {}}, "table")
    assert capsys.readouterr().out == ("a b:   1\ninner:\n  x:  yes\n  yy: -\nrows:\n  - p: 1\n    q: 2\nnone:  -\nempty: -\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (True, "yes"), (0.1 + 0.2, "0.3"), (["a", None], "a, -"), ({"a": [1]}, "a=1"), ((), "-"), ("", "")],
)
def test_values_are_shown_in_one_line(value: object, text: str) -> None:
    assert shown(value) == text
