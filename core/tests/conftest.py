"""What all tests of the core share: nothing outside a temporary folder is touched, and none sees another's settings."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and what they start, ignore Ctrl-C
_FOREIGN = ("DOVETAIL_STACK", "DOVETAIL_PROJECT", "DOVETAIL_PLUGINS", "CI")


def load_file(path: Path) -> ModuleType:
    """A module by its file, for what tests share and no package holds."""
    name = f"tests_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds this test's user folder, cache folder and, as the working folder, its project."""
    place = tmp_path_factory.mktemp("isolated")
    for name in ("user", "project"):
        (place / name).mkdir()
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(place / "user"))
    monkeypatch.setenv("DOVETAIL_HOME", str(place / "user" / ".dovetail"))
    monkeypatch.setenv("DOVETAIL_CACHE", str(place / "cache"))
    monkeypatch.setenv("DOVETAIL_QUIET", "1")
    monkeypatch.chdir(place / "project")
    return place


@pytest.fixture
def store_root(isolated: Path) -> Path:
    """Where the default stack's artifact store lies."""
    return isolated / "user" / ".dovetail" / "store"


@pytest.fixture
def check_store() -> Callable[[Path], list[str]]:
    """The independent checker: everything that is wrong in a local store's folder."""
    check: Callable[[Path], list[str]] = load_file(HERE / "checker.py").check
    return check


class Programs:
    """Writes modules into the working folder, and runs them in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, source: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    def environ(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}

    def start(self, *command: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        return subprocess.Popen([sys.executable, *command], env=self.environ(env), cwd=self.folder, **piped)

    def run(self, *command: str, env: Mapping[str, str] | None = None, code: int | None = 0) -> str:
        """Run Python with these arguments; gives its standard output, and fails unless it ends with `code`."""
        done = subprocess.run(
            [sys.executable, *command], env=self.environ(env), cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert code is None or done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def programs(isolated: Path) -> Programs:
    return Programs(isolated / "project")


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage is not measured in the processes that the test starts."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def make_module(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Writes a module of the project and imports it here; worker processes can import it too."""
    made: list[str] = []
    monkeypatch.syspath_prepend(str(programs.folder))

    def make(source: str, name: str = "flow") -> Any:
        programs.write(f"{name}.py", source)
        made.append(name)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def install_plugin(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Lays out a plugin of one module as an installed distribution, for this process and those that it starts."""

    def install(name: str, source: str) -> Path:
        folder = isolated / "site" / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[dovetail]\n{name} = {name}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep))
        return folder

    return install


@pytest.fixture
def apply_stack(isolated: Path) -> Callable[..., None]:
    """Makes a stack of the project from component entries, each `(flavor, name, configuration)`."""

    def apply(name: str, *, waive: Sequence[str] = (), **components: tuple[str, str, Mapping[str, Any]]) -> None:
        from dovetail.planning.workspace import open_workspace
        from dovetail.stack import ComponentSpec, Stack, StackStore

        workspace = open_workspace("default")
        own = {kind: ComponentSpec(kind, flavor, called, dict(fields)) for kind, (flavor, called, fields) in components.items()}
        specs = {**workspace.stack.components, **own}
        StackStore(workspace.project, workspace.registry).save(
            Stack(name, list(specs.values()), registry=workspace.registry, project=workspace.project, waive=waive)
        )

    return apply
