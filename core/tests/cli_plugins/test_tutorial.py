"""The tutorial of the page on plugins, followed line by line in an environment of its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(r"^```(python|console|yaml|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NOT_HERE = ("python -m build", "twine")  # they fetch what builds, and reach a registry


def tutorial() -> list[tuple[str, str]]:
    text = PAGE.read_text(encoding="utf-8")
    return BLOCK.findall(text[text.index("## From nothing to a published plugin") : text.index("## Component types")])


def give_commands(place) -> None:
    """What an activated environment has on its search path."""
    commands = {"dovetail": 'python -c "from dovetail.cli import main; main()"', "pytest": "python -m pytest -p no:cacheprovider"}
    if place.tool == "uv":
        commands["pip"] = "uv pip"
    for name, command in commands.items():
        script = place.folder / "bin" / name
        script.write_text(f"#!/bin/sh\nexec {command} \"$@\"\n")
        script.chmod(0o755)


def test_who_follows_the_tutorial_has_a_plugin_that_a_pipeline_uses(shared_place, tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    give_commands(shared_place)
    environ = shared_place.environ()
    environ |= {"PATH": f"{shared_place.folder / 'bin'}:{environ['PATH']}:/usr/bin:/bin", "VIRTUAL_ENV": str(shared_place.folder)}
    (tmp_path / "pyproject.toml").touch()
    said = ""
    for kind, text in tutorial():
        name = re.match(r"# file: (\S+)\n", text)
        if name:
            (tmp_path / name[1]).write_text(text)
        elif kind in ("console", "sh"):
            for line in text.replace("$ ", "").splitlines():
                if not any(word in line for word in NOT_HERE):
                    said += run(line, tmp_path, environ)
    assert '{"metrics": {"loss": 0.25}, "step": null}' in said
    assert re.search(r"acme +0\.1\.0 +installed +experiment tracker: acme", said)
    assert "1 plugin can be used: acme." in said
    said = run("pytest -q dovetail-acme", tmp_path, environ)  # the tracker as it was filled, on the tests as they were written
    assert " passed" in said


def run(line: str, folder: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
