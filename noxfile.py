"""The test matrix. Packages are found by glob; adding one needs no line here.

    nox -l                      what there is
    nox -s tests-3.12           the core on one Python
    nox -s tests-<plugin>       one plugin in an environment of its own
    nox -s real-<plugin>        what the plugin tries on the real tool, where that is installed: its folder tests/real
    nox -s versions-<plugin>    the same on the lowest and on the newest versions of what it declares to support (needs uv)
    nox -s crash                every fault at every file operation, not a stride
    nox -s portability          every pipeline on every orchestrator and artifact store; writes the table (takes a Docker engine)
    nox -s bench -- --quick     Dovetail side by side with its peers
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nox
import nox.project

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
def portability(session: nox.Session) -> None:
    """Every pipeline of tests/portability on every orchestrator and every artifact store; what came of it is written into docs and README."""
    plugins = (part for name in ("docker", "aws", "gcp", "azure") for part in ("-e", f"plugins/{name}[test]"))
    session.install("-e", "core[testing]", *plugins, "-r", "tests/portability/requirements.txt")
    found = ROOT / ".nox" / "portability.json"
    written = {"DOVETAIL_PORTABILITY_FULL": "1", "DOVETAIL_PORTABILITY_TABLE": str(found)}
    session.run("pytest", "tests/portability/test_portability.py", *session.posargs, env=written)
    session.run("python", "tests/portability/write_table.py", str(found))
    session.run("pytest", "tests/portability", "--ignore", "tests/portability/test_portability.py")


@nox.session
def bench(session: nox.Session) -> None:
    session.run("python", "bench/run.py", *session.posargs)


NEEDS_PIP = {"pytorch": ("torch==2.13.0",), "bentoml": ("torch==2.13.0",)}  # a build for the CPU, where pip is told of one and uv is not


def _package_sessions(package: Path) -> None:
    folder = package.relative_to(ROOT)

    @nox.session(name=f"tests-{package.name}")
    def tests_of_package(session: nox.Session) -> None:
        """One plugin in an environment of its own."""
        for requirement in NEEDS_PIP.get(package.name, ()):
            session.run("python", "-m", "ensurepip", "--upgrade", silent=True)
            session.run("python", "-m", "pip", "install", "--quiet", requirement)
        session.install("-e", "core[testing]", *_siblings(package), "-e", f"{folder}[test]")
        _install_npm_engines(session, package)
        session.run("pytest", str(folder / "tests"), *session.posargs, env={"DOVETAIL_LONG_TESTS": "1"})

    @nox.session(name=f"versions-{package.name}", venv_backend="uv")
    @nox.parametrize("resolution", ["lowest-direct", "highest"])
    def versions_of_package(session: nox.Session, resolution: str) -> None:
        """One plugin on the lowest and on the newest versions that it declares to support."""
        session.install("-e", "core[testing]", *_siblings(package))  # first: the lowest versions are asked of the plugin's requirements alone
        session.install("--resolution", resolution, *_anew(package), "-e", f"{folder}[test]")
        _install_npm_engines(session, package)
        session.run("uv", "pip", "list", external=True)
        session.run("pytest", str(folder / "tests"), *session.posargs)

    if (package / "tests" / "real").is_dir():

        @nox.session(name=f"real-{package.name}")
        def real_tool_of_package(session: nox.Session) -> None:
            """What takes a real engine or service, which is started here and too slow or too rare for each run."""
            session.install("-e", "core[testing]", *_siblings(package), "-e", f"{folder}[test,real]")
            _install_npm_engines(session, package)
            session.run("pytest", str(folder / "tests" / "real"), *session.posargs, env={"DOVETAIL_REAL": "1"})


def _anew(package: Path) -> list[str]:
    """Lets the installer choose anew what came with the core already and is the plugin's own requirement too."""
    required = nox.project.load_toml(package / "pyproject.toml")["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in required]
    return [argument for name in names if not name.startswith("dovetail") for argument in ("--upgrade-package", name)]


def _siblings(package: Path) -> list[str]:
    """The plugins of this repository that a plugin, or its tests, stand on."""
    project = nox.project.load_toml(package / "pyproject.toml")["project"]
    required = [*project["dependencies"], *(name for extra in project.get("optional-dependencies", {}).values() for name in extra)]
    names = {re.split(r"[^\w-]", requirement, maxsplit=1)[0].removeprefix("dovetail-") for requirement in required if requirement.startswith("dovetail-")}
    found = [folder for name in sorted(names) for folder in (ROOT / "plugins" / name, ROOT / "contrib" / name) if folder.is_dir()]
    return [argument for folder in found for argument in ("-e", str(folder.relative_to(ROOT)))]


def _install_npm_engines(session: nox.Session, package: Path) -> None:
    """Programs of npm's that the tests run against; without them those tests are skipped and say so."""
    named = package / "tests" / "npm.txt"
    if named.is_file() and shutil.which("npm"):
        place = Path(session.virtualenv.location) / "npm"
        session.run("npm", "install", "--silent", "--prefix", str(place), *named.read_text().split(), external=True)


for found in sorted([*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("contrib/*/pyproject.toml")]):
    _package_sessions(found.parent)
