"""The test matrix. Packages are found by glob; adding one needs no line here.

    nox -l                      what there is
    nox -s tests-3.12           the core on one Python
    nox -s tests-<plugin>       one plugin in an environment of its own
    nox -s crash                every fault at every file operation, not a stride
    nox -s bench -- --quick     Dovetail side by side with its peers
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
PYTHONS = [version for version in ("3.10", "3.11", "3.12", "3.13") if shutil.which(f"python{version}")] or ["3"]

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "layers", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    session.install("ruff>=0.8")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    session.install("-e", "core", "-r", "tests/requirements.txt")
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    session.install("-e", "core", "import-linter>=2.1")
    session.run("lint-imports")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The core and what crosses packages, on each Python that is installed."""
    session.install("-e", "core", "-r", "tests/requirements.txt", "-r", "examples/flights/requirements.txt")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    session.install("-e", "core", "-r", "tests/requirements.txt")
    session.run("pytest", "core/tests/crash", *session.posargs, env={"DOVETAIL_CRASH_FULL": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    session.run("python", "bench/run.py", *session.posargs)


def _package_session(package: Path) -> None:
    @nox.session(name=f"tests-{package.name}")
    def tests_of_package(session: nox.Session) -> None:
        session.install("-e", "core[testing]", "-e", str(package.relative_to(ROOT)))
        session.run("pytest", str(package / "tests"), *session.posargs)


for found in sorted([*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("contrib/*/pyproject.toml")]):
    _package_session(found.parent)
