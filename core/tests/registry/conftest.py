from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ACME = Path(__file__).parents[1] / "acme"


@pytest.fixture
def distribution(tmp_path: Path) -> Callable[..., Path]:
    """Lays out an installed distribution in a folder of its own and returns the folder."""

    def make(
        name: str, module: str, source: str, *, entry: str | None = None, version: str = "1.0", point: str | None = None
    ) -> Path:
        folder = tmp_path / "site" / f"{name}-{version}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not-this\n")
        named = entry or name.removeprefix("dovetail-")
        (info / "entry_points.txt").write_text(f"[dovetail]\n{named} = {point or module}\n")
        return folder

    return make


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Runs `code` in a Python of its own with the folders on its path; what it assigns to `answer` comes back through JSON."""

    def run(code: str, *folders: Path, **environ: str) -> Any:
        script = f"import json\nfrom dovetail.registry import Registry\n{textwrap.dedent(code)}\nprint(json.dumps(answer))\n"
        env = {key: value for key, value in os.environ.items() if not key.startswith("DOVETAIL_")}
        env.update(environ, PYTHONPATH=os.pathsep.join(map(str, folders)))
        done = subprocess.run([sys.executable, "-W", "error", "-c", script], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(ACME))
    monkeypatch.delenv("DOVETAIL_PLUGINS", raising=False)
    return ACME
