"""`dovetail artifacts show NAME --open`."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from dovetail import save_artifact
from dovetail.components import Finding, Validation, Verdict

Cli = Callable[..., Any]
PAGE = "<!DOCTYPE html>\n<html><body>größe</body></html>"
FOUND = Validation(
    Verdict.FAIL,
    [Finding("drift", "drift", 0.9, Verdict.WARN, "weight"), Finding("quality", "missing_share", 0.5, Verdict.FAIL, None, "missing_share < 0.1")],
    "acme 1.0", PAGE, {"rows": [1, None]}, {"current": 4},
)  # fmt: skip


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """The files that were opened, by a browser that notes their addresses."""
    noted = tmp_path / "addresses"
    browser = tmp_path / "browser"
    browser.write_text(f"#!{sys.executable}\nimport sys\nopen({str(noted)!r}, 'a').write(sys.argv[1] + '\\n')\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    return lambda: [Path(url2pathname(urlsplit(line).path)) for line in noted.read_text().splitlines()]


@pytest.fixture(autouse=True)
def in_a_folder(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("webbrowser._tryorder", None)  # what it found is remembered for the process
    monkeypatch.setattr("webbrowser._browsers", {})


def test_the_page_of_an_artifact_is_opened_from_a_file_that_only_its_user_reads(does: Cli, opened: Callable[[], list[Path]]) -> None:
    save_artifact(FOUND, "weekly check")
    shown = does("artifacts", "show", "weekly check", "--open")
    (path,) = opened()
    assert path.read_text(encoding="utf-8") == PAGE
    assert path.suffix == ".html"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert f"Opened {path}." in shown.err


def test_a_text_that_is_a_page_is_opened(does: Cli, opened: Callable[[], list[Path]]) -> None:
    save_artifact(f"  \n{PAGE}", "report")
    does("artifacts", "show", "report", "--open")
    assert "größe" in opened()[0].read_text(encoding="utf-8")


def test_a_file_that_is_a_picture_is_opened(does: Cli, opened: Callable[[], list[Path]], tmp_path: Path) -> None:
    (tmp_path / "curve.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    save_artifact(tmp_path / "curve.svg", "curve")
    does("artifacts", "show", "curve", "--open")
    assert (opened()[0].suffix, opened()[0].read_text()[:4]) == (".svg", "<svg")


@pytest.mark.parametrize("value", [[1, 2], "no page, though it says <html> in passing"])
def test_what_has_no_page_is_told_with_what_to_do_instead(cli: Cli, value: Any) -> None:
    save_artifact(value, "numbers")
    refused = cli("artifacts", "show", "numbers", "--open")
    assert refused.code == 2
    assert "neither a page nor a picture to open. See what it holds: dovetail artifacts load numbers." in refused.err


def test_without_a_browser_the_path_is_said(does: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "/nowhere/browser %s")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("DISPLAY", raising=False)
    save_artifact(PAGE, "report")
    told = does("artifacts", "show", "report", "--open").err
    path = Path(told.partition("The page is ")[2].strip().removesuffix("."))
    assert path.read_text(encoding="utf-8") == PAGE


def test_a_name_that_is_no_file_name_is_opened_all_the_same(does: Cli, opened: Callable[[], list[Path]]) -> None:
    from dovetail import Client

    save_artifact(PAGE, "report of größe + 1")
    does("artifacts", "show", "report of größe + 1", "--open")
    does("artifacts", "show", Client().get_artifact("report of größe + 1").digest, "--open")
    assert [path.suffix for path in opened()] == [".html", ".html"]


def test_a_validations_page_tells_the_verdict_and_what_was_found(does: Cli) -> None:
    save_artifact(FOUND, "check")
    page = does("artifacts", "show", "check").out
    for told in ("verdict", "fail", "quality: missing_share is 0.5, wanted missing_share < 0.1", "drift: drift of weight is 0.9", "acme 1.0"):
        assert told in page
