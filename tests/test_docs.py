"""What the pages show is what happens: their code and commands are run, in order, in a folder of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "core" / "docs").glob("*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"^```(python|console|yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_and_commands_of_a_page_do_what_they_show(page: Path, tmp_path: Path) -> None:
    for number, (kind, text) in enumerate(BLOCK.findall(page.read_text())):
        name = re.match(r"# file: (\S+)\n", text)
        if name or kind == "yaml":
            assert name, f"block {number} of {page.name} has no name to be written under"
            (tmp_path / name[1]).write_text(text)
        elif kind == "python":
            script = tmp_path / f"block_{number}.py"
            script.write_text(text)
            _run([sys.executable, script.name], tmp_path)
        else:
            for line in text.splitlines():
                if line.startswith("$ ") and _runs_here(line):
                    _run(["bash", "-c", line[2:]], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not broken


def _runs_here(line: str) -> bool:
    """Commands that begin with a clone, or set the clone up, are shown by the README and run by whoever runs the tests."""
    return not any(word in line for word in ("git clone", "cd dovetail", "tasks.py"))


def _run(command: list[str], folder: Path) -> None:
    bin_folder = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder / "home")}
    environ |= {"DOVETAIL_HOME": str(folder / "home" / ".dovetail"), "DOVETAIL_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
