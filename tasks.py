"""One command for each thing that one does from a clone; needs Python 3.10 or newer with pip, nothing else.

    python3 tasks.py flights     set everything up and run the main example on real data
    python3 tasks.py test        set everything up and pass the checks and tests
    python3 tasks.py setup       only make the environment .venv, with dovetail and what the examples and tests need

`flights` and `test` hand further arguments on: `python3 tasks.py flights --month 3`, `python3 tasks.py test -k cache`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
FLIGHTS = ROOT / "examples" / "flights"


def run(*command: str | Path) -> None:
    """Run a command; its exit code, unless it is 0, ends this program."""
    code = call(*command)
    if code:
        sys.exit(code)


def succeeds(*command: str | Path) -> bool:
    return call(*command) == 0


def call(*command: str | Path) -> int:
    """Run a command in the clone's root, its environment's programs first; gives its exit code."""
    print("$", " ".join(str(Path(part).relative_to(ROOT) if str(part).startswith(str(ROOT)) else part) for part in command), flush=True)
    path = os.pathsep.join((str(BIN), os.environ.get("PATH", "")))
    environ = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(ENVIRONMENT)}
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False, env=environ).returncode


def install(*requirements: str | Path) -> None:
    """Install into the environment: dovetail in place, so that edits count at once, and the requirements."""
    if not PYTHON.exists():
        print(f"$ python3 -m venv {ENVIRONMENT.name}", flush=True)
        venv.create(ENVIRONMENT, with_pip=True)
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    wanted = [argument for requirement in requirements for argument in ("-r", requirement)]
    run(BIN / "uv", "pip", "install", "--quiet", "--python", PYTHON, "-e", ROOT / "core", *wanted)


def flights(*arguments: str) -> None:
    install(FLIGHTS / "requirements.txt")
    run(PYTHON, FLIGHTS / "pipeline.py", *arguments)


def test(*arguments: str) -> None:
    install(ROOT / "tests" / "requirements.txt", FLIGHTS / "requirements.txt")
    if arguments:
        run(PYTHON, "-m", "pytest", *arguments)
        return
    run(BIN / "ruff", "check", ".")
    run(BIN / "mypy")
    run(BIN / "lint-imports")
    for left in ROOT.glob(".coverage*"):
        left.unlink()
    if not succeeds(BIN / "coverage", "run", "-m", "pytest", "-n", "2"):
        print("What failed beside other tests is tried once more by itself.", flush=True)
        run(BIN / "coverage", "run", "-m", "pytest", "--last-failed", "--last-failed-no-failures", "none")
    run(BIN / "coverage", "combine", "--quiet")
    run(BIN / "coverage", "report", "--fail-under", "95")


def setup() -> None:
    install(ROOT / "tests" / "requirements.txt", FLIGHTS / "requirements.txt")
    print(f"Ready. Programs are in {BIN.relative_to(ROOT)}: try {BIN.relative_to(ROOT) / 'dovetail'} --help")


def main() -> None:
    if sys.version_info < (3, 10):
        sys.exit(f"Dovetail needs Python 3.10 or newer; this is {sys.version.split()[0]}. Call this script with a newer one.")
    tasks = {"flights": flights, "test": test, "setup": setup}
    if len(sys.argv) < 2 or sys.argv[1] not in tasks:
        sys.exit(__doc__)
    tasks[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
