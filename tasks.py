"""One command for each thing that one does from a clone; needs Python 3.10 or newer with pip, nothing else.

    python3 tasks.py flights     set everything up and run the main example on real data
    python3 tasks.py year        the same through a whole year: watched, trained anew, served; draws year.png
    python3 tasks.py test        set everything up and pass the checks and tests, the plugins' too
    python3 tasks.py setup       only make the environment .venv, with dovetail and what the examples and tests need
    python3 tasks.py setup mlflow wandb        the same with these plugins of plugins/ and contrib/

`flights`, `year` and `test` hand further arguments on: `python3 tasks.py flights --month 3`, `python3 tasks.py test -k cache`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PLACE = "Scripts" if os.name == "nt" else "bin"
SUFFIX = ".exe" if os.name == "nt" else ""
CORE = ROOT / ".venv"  # dovetail with no plugin but its own
PLUGINS = ROOT / ".venv-plugins"  # dovetail with every plugin that can be beside the others, as they have to get along
YEAR = ROOT / ".venv-year"  # dovetail with what watches the data of a year
FLIGHTS = ROOT / "examples" / "flights"
PORTABILITY = ROOT / "tests" / "portability"
_AGAIN = ("python", "-m", "pytest", "--last-failed", "--last-failed-no-failures", "none")  # once more, what failed on a busy machine
CLOUDS = ("aws", "azure", "docker", "gcp")  # plugins whose tests wait for containers most of the time
_BESIDE = ("-n", "2", "--dist", "loadfile")
NEEDS_PIP = {"pytorch": "torch==2.13.0"}  # a build for the CPU, where pip is told of one


def program(environment: Path, name: str) -> Path:
    return environment / PLACE / f"{name}{SUFFIX}"


def run(environment: Path, name: str, *arguments: str | Path) -> None:
    """Run a program of an environment; its exit code, unless it is 0, ends this program."""
    code = call(environment, name, *arguments)
    if code:
        sys.exit(code)


def call(environment: Path, name: str, *arguments: str | Path, whole: bool = False) -> int:
    """Run a program in the clone's root, its environment's programs first; gives its exit code. `whole`: print what it says when it has ended."""
    command = [program(environment, name), *arguments]
    shown = " ".join(str(Path(part).relative_to(ROOT) if str(part).startswith(str(ROOT)) else part) for part in command)
    if not whole:
        print("$", shown, flush=True)
    path = os.pathsep.join((str(environment / PLACE), os.environ.get("PATH", "")))
    environ = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(environment)}
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if whole else {}
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False, env=environ, text=True, errors="replace", **out)
    if whole:
        print(f"$ {shown}\n{done.stdout}", flush=True)
    return done.returncode


def install(environment: Path, *arguments: str | Path) -> None:
    """Install into an environment, which is made if need be, dovetail in place so that edits count at once."""
    if not program(environment, "python").exists():
        print(f"$ python3 -m venv {environment.name}", flush=True)
        venv.create(environment, with_pip=True)
    run(environment, "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    run(environment, "uv", "pip", "install", "--quiet", "--python", program(environment, "python"), "-e", ROOT / "core", *arguments)


def packages() -> dict[str, Path]:
    """Every plugin of this repository, by its folder's name."""
    return {found.parent.name: found.parent for found in sorted([*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("contrib/*/pyproject.toml")])}


def flights(*arguments: str) -> None:
    install(CORE, "-r", FLIGHTS / "requirements.txt")
    run(CORE, "python", FLIGHTS / "pipeline.py", *arguments)


def year(*arguments: str) -> None:
    install(YEAR, "-e", ROOT / "plugins" / "evidently", "-r", FLIGHTS / "requirements-year.txt")
    run(YEAR, "dovetail", "stack", "apply", FLIGHTS / "stacks" / "monitored.yaml")
    os.environ["DOVETAIL_STACK"] = "monitored"
    run(YEAR, "python", FLIGHTS / "year.py", *arguments)


def test(*arguments: str) -> None:
    install(CORE, "-r", ROOT / "tests" / "requirements.txt", "-r", FLIGHTS / "requirements.txt")
    if arguments:
        run(CORE, "python", "-m", "pytest", *arguments)
        return
    run(CORE, "ruff", "check", ".")
    run(CORE, "mypy")
    run(CORE, "lint-imports")
    for left in ROOT.glob(".coverage*"):
        left.unlink()
    if call(CORE, "coverage", "run", "-m", "pytest", "-n", "2"):
        print("What failed beside other tests is tried once more by itself.", flush=True)
        run(CORE, "coverage", "run", "-m", "pytest", "--last-failed", "--last-failed-no-failures", "none")
    run(CORE, "coverage", "combine", "--quiet")
    run(CORE, "coverage", "report", "--fail-under", "95")
    test_plugins()


def install_engines() -> None:
    """The Debian packages that plugins' tests run against, named in their `tests/apt.txt`; without them those tests are skipped and say so."""
    wanted = sorted({name for folder in packages().values() for file in folder.glob("tests/apt.txt") for name in file.read_text().split()})
    if os.name == "nt" or os.geteuid() or not wanted or not shutil.which("apt-get"):
        return
    known = subprocess.run(["dpkg-query", "--show", "--showformat=${Package} ${Status}\n", *wanted], capture_output=True, text=True, check=False).stdout
    missing = [name for name in wanted if f"{name} install ok installed" not in known]
    if missing:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing]):
            print("$", " ".join(command), flush=True)
            subprocess.run(command, check=False, env=quiet, stdout=subprocess.DEVNULL)


def install_npm_engines(environment: Path) -> None:
    """The same for programs of npm's, named in their `tests/npm.txt`; they go into the folder `npm` of the environment."""
    wanted = sorted({name for folder in packages().values() for file in folder.glob("tests/npm.txt") for name in file.read_text().split()})
    place, npm = environment / "npm", shutil.which("npm")
    noted = place / "installed.txt"
    if npm is None or not wanted or (noted.exists() and noted.read_text().split() == wanted):
        return
    print("$ npm install", *wanted, flush=True)
    place.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(place), *wanted]
    if subprocess.run(command, check=False).returncode == 0:
        noted.write_text("\n".join(wanted))


def test_plugins() -> None:
    """Each plugin's tests, all that can be together being installed; what fails keeps none of the others from being tried."""
    install_engines()
    together = {name: folder for name, folder in packages().items() if not stands_apart(folder)}
    install_plugins(PLUGINS, together, "[test]")
    install_npm_engines(PLUGINS)
    install(PLUGINS, "-r", PORTABILITY / "requirements.txt", "-r", FLIGHTS / "requirements-year.txt", "pytest-xdist>=3.6")
    by_two: dict[str, tuple[str | Path, ...]] = {name: (folder, *_BESIDE) for name, folder in together.items() if name in CLOUDS}
    by_two["the portability of pipelines"] = (PORTABILITY, "-k", "docker or s3 or gcs or azure", *_BESIDE)  # the core's tests ran what takes no plugin
    by_two["the flights example on clouds"] = (ROOT / "tests" / "clouds",)
    failed = {name: suite[0] for name, suite in by_two.items() if call(PLUGINS, "python", "-m", "pytest", *suite)}
    apart = [name for name in packages() if name not in together]
    beside: dict[str, Path] = {"the flights example through a year": ROOT / "tests" / "year", **{name: folder for name, folder in together.items() if name not in CLOUDS}}
    with ThreadPoolExecutor(2) as pool:  # suites, side by side
        those_apart = [pool.submit(test_apart, name, packages()[name]) for name in apart]
        others = {name: pool.submit(call, PLUGINS, "python", "-m", "pytest", folder, whole=True) for name, folder in beside.items()}
    failed |= {name: beside[name] for name, code in others.items() if code.result()}
    left = [name for name, folder in failed.items() if call(PLUGINS, *_AGAIN, folder)]
    left += [name for name, passed in zip(apart, those_apart, strict=True) if not passed.result()]
    if left:
        sys.exit(f"Tests failed in {', '.join(left)}.")


def stands_apart(folder: Path) -> bool:
    """Whether a plugin's libraries and the others' exclude each other, for the reason in that file."""
    return (folder / "tests" / "own-environment.txt").exists()


def test_apart(name: str, folder: Path) -> bool:
    """Test a plugin in an environment of its own, which is deleted afterwards."""
    newest = re.search(r'^requires-python = ".*<3\.(\d+)"', (folder / "pyproject.toml").read_text(), re.MULTILINE)
    if newest and sys.version_info[:2] >= (3, int(newest[1])):
        print(f"{name} is not tested here: it wants a Python below 3.{newest[1]}.", flush=True)
        return True
    environment = ROOT / f".venv-{name}"
    try:
        install_plugins(environment, {name: folder}, "[test]")
        return not (call(environment, "python", "-m", "pytest", folder, whole=True) and call(environment, *_AGAIN, folder, whole=True))
    except SystemExit:  # what cannot be installed is told of with the rest
        return False
    finally:
        shutil.rmtree(environment, ignore_errors=True)


def install_plugins(environment: Path, chosen: dict[str, Path], extra: str = "") -> None:
    install(environment)
    for requirement in [wanted for name, wanted in NEEDS_PIP.items() if name in chosen]:
        run(environment, "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement)
    install(environment, *(part for folder in chosen.values() for part in ("-e", f"{folder}{extra}")))


def setup(*chosen: str) -> None:
    known = packages()
    unknown = [name for name in chosen if name not in known]
    if unknown:
        sys.exit(f"There is no plugin '{unknown[0]}' here. There are {', '.join(known)}.")
    install(CORE, "-r", ROOT / "tests" / "requirements.txt", "-r", FLIGHTS / "requirements.txt")
    if chosen:
        install_plugins(CORE, {name: known[name] for name in chosen})
    print(f"Ready. Programs are in {CORE.name}/{PLACE}: try {CORE.name}/{PLACE}/dovetail --help")


def main() -> None:
    if sys.version_info < (3, 10):
        sys.exit(f"Dovetail needs Python 3.10 or newer; this is {sys.version.split()[0]}. Call this script with a newer one.")
    tasks = {"flights": flights, "year": year, "test": test, "setup": setup}
    if len(sys.argv) < 2 or sys.argv[1] not in tasks:
        sys.exit(__doc__)
    tasks[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
