"""The report as a browser shows it that reaches nothing but the file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dovetail import Client
from dovetail.cli.application import run
from dovetail.testing import in_memory
from dovetail.validation import Check

from dovetail_evidently.page import inert
from dovetail_evidently.validator import EvidentlyValidator

_OFFLINE = ("--proxy-server=127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--disable-component-update", "--disable-sync")
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions", "--virtual-time-budget=10000")


def shown(page: Path, profile: Path) -> str:
    """What stands on the page once its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here; Debian has it as chromium")
    command = [browser, *_FLAGS, *_OFFLINE, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout


def text_of(page: str) -> str:
    without_scripts = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", without_scripts).split())


def test_the_report_shows_the_column_that_drifted_without_a_network(steps: Any, tmp_path: Path) -> None:
    with in_memory(EvidentlyValidator()):
        steps.retraining(20.0)
        page = tmp_path / "report.html"
        page.write_text(Client().get_artifact("validation_report").load(), encoding="utf-8")
    assert "weight" not in text_of(page.read_text(encoding="utf-8")), "it is the scripts that write it"
    text = text_of(shown(page, tmp_path / "profile"))
    assert "Drift is detected for 33.333% of columns (1 out of 3)" in text
    assert re.search(r"weight num (?:\S+ ){0,4}Detected K-S p_value", text), text
    assert re.search(r"minutes num (?:\S+ ){0,4}Not Detected K-S p_value", text), text


def test_a_validations_report_is_opened_by_the_command(steps: Any, trials: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stack = (
        "components:\n  orchestrator: {type: local, name: o}\n  artifact_store: {type: local, name: a, configuration: {path: ./store}}\n"
        "  data_validator: {type: evidently, name: evidently, configuration: {number_method: ks}}\n"
    )
    (trials.project.root / "checked.yaml").write_text(stack)
    assert run(["stack", "apply", "checked.yaml", "--set"]) == 0
    steps.retraining(20.0)
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    capsys.readouterr()
    assert run(["artifacts", "show", "validation", "--open"]) == 0
    told = capsys.readouterr()
    assert "drift: drift of weight is" in told.out
    path = Path(told.err.partition("The page is ")[2].strip().removesuffix("."))
    assert "weight num" in text_of(shown(path, tmp_path / "profile"))


def test_what_stands_in_the_data_is_shown_and_never_run(tmp_path: Path) -> None:
    """A name or a value that ends Evidently's own script, or is an element, would act in the browser of whoever looks at the report."""
    script, picture = "</script><script>document.title='taken'</script>", "<img src=x onerror=\"document.title='taken'\">"
    reference = pd.DataFrame({script: ["rye", "wheat"] * 20, picture: range(40), "flour": ["rye", "wheat"] * 20})
    current = reference.assign(**{"flour": [script, picture] * 20, script: picture, picture: reference[picture] + 100})
    found = EvidentlyValidator().validate(reference, current, ["drift", "quality", "schema", Check("DataSummaryPreset")])
    page = tmp_path / "report.html"
    page.write_text(found.html, encoding="utf-8")
    assert script not in found.html and picture not in found.html
    drawn = shown(page, tmp_path / "profile")
    assert "3 Columns 3 Drifted" in text_of(drawn)
    assert "<title>taken" not in drawn


def test_a_page_that_is_made_otherwise_is_not_taken() -> None:
    assert inert("<html><body>{}</body></html>") == inert("<script>other()\n</script>") == ""
