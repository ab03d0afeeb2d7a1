"""Environments of their own to install into, and wheels to install, all on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pytest

UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
TOOLS = ("uv", "pip")
_COPIED = ("METADATA", "entry_points.txt", "direct_url.json", "INSTALLER", "RECORD")
PLUGIN = """
    from dovetail.plugin import FlavorSpec, hookimpl

    @hookimpl
    def dovetail_experiment_trackers():
        return [FlavorSpec({flavor!r}, "dovetail.local.experiment_tracker:LocalTracker", help="As the built-in one.")]
"""


@dataclass
class Said:
    code: int
    out: str
    err: str


@dataclass
class Place:
    """A virtual environment in which Dovetail is installed, and `tool` is what installs."""

    folder: Path
    tool: str | None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    def environ(self) -> dict[str, str]:
        quiet = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "VIRTUAL_ENV", "PYTHONPATH"))}
        path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}" if self.tool == "uv" and UV else str(self.folder / "bin")
        offline = {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1", "UV_NO_BUILD_ISOLATION": "1", "PIP_NO_BUILD_ISOLATION": "0", "UV_LINK_MODE": "copy"}
        return {**quiet, **offline, "PATH": path, "COLUMNS": "200", **self.variables}

    def run(self, *command: str | Path, cwd: Path | None = None, answer: str | None = None) -> Said:
        done = subprocess.run(
            [str(self.python), *map(str, command)], env=self.environ(), cwd=cwd, input=answer or "", capture_output=True, text=True, timeout=240, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def dovetail(self, *arguments: str | Path, answer: str | None = None, cwd: Path | None = None) -> Said:
        return self.run("-c", "from dovetail.cli import main; main()", *arguments, answer=answer, cwd=cwd)

    def find_links(self, folder: Path) -> None:
        self.variables |= {"UV_FIND_LINKS": str(folder), "PIP_FIND_LINKS": str(folder)}

    def say_of_dovetail(self, name: str, text: str) -> None:
        """Adds to a file of Dovetail's own metadata here."""
        (info,) = self.site.glob("dovetail-*.dist-info")
        file = info / name
        head, _, body = (file.read_text() if file.exists() else "").partition("\n\n")
        file.write_text(f"{head}\n{text}\n\n{body}" if head else text)


def make_place(folder: Path, tool: str | None) -> Place:
    """What this test run has installed counts as installed there too, and is imported from where it lies."""
    if tool == "uv" and UV is None:
        pytest.skip("uv is not here")
    made = subprocess.run([sys.executable, "-m", "venv", *([] if tool == "pip" else ["--without-pip"]), str(folder)], capture_output=True, text=True)
    if made.returncode and tool == "pip":
        pytest.skip(f"no environment with pip can be made: {made.stderr[-200:]}")
    place = Place(folder, tool)
    libraries = dict.fromkeys(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
    lines = [f"import site; site.addsitedir({library!r})" for library in libraries]
    (place.site / "from_the_tests.pth").write_text("\n".join(lines) + "\n")
    for found in metadata.distributions(path=list(libraries)):
        name, version = found.metadata["Name"], found.version
        if name and name.lower() not in ("pip", "setuptools") and not any(point.group == "dovetail" and name != "dovetail" for point in found.entry_points):
            info = place.site / f"{name.replace('-', '_')}-{version}.dist-info"
            info.mkdir(exist_ok=True)
            texts = {file: found.read_text(file) for file in _COPIED}
            for file, text in {**texts, "RECORD": ""}.items():
                if text is not None:
                    (info / file).write_text(text)
    return place


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Place]:
    """One environment for each tool; an environment is copied in a tenth of the time in which it is made."""
    made: dict[str, Place] = {}

    def template(tool: str) -> Place:
        if tool not in made:
            made[tool] = make_place(tmp_path_factory.mktemp("templates") / tool, tool)
        return made[tool]

    return template


@pytest.fixture(params=TOOLS)
def place(request: pytest.FixtureRequest, templates: Callable[[str], Place], tmp_path: Path) -> Place:
    return Place(shutil.copytree(templates(request.param).folder, tmp_path / "environment", symlinks=True), request.param)


@pytest.fixture(scope="module")
def shared_place(templates: Callable[[str], Place], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One for all tests of a module, with whichever tool is here."""
    tool = "uv" if UV else "pip"
    return Place(shutil.copytree(templates(tool).folder, tmp_path_factory.mktemp("shared") / tool, symlinks=True), tool)


@pytest.fixture
def bare_place(tmp_path: Path) -> Place:
    """Without uv and without pip, also where the environment of the tests has one."""
    place = make_place(tmp_path / "bare", None)
    (place.site / "no_pip.pth").write_text("import sys; sys.modules['pip'] = None\n")
    return place


@pytest.fixture
def wheel(tmp_path: Path) -> Callable[..., Path]:
    """Makes a wheel by hand; one with `flavor` is a plugin."""

    def make(name: str, version: str = "1.0", *, requires: tuple[str, ...] = (), flavor: str = "", source: str = "") -> Path:
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        folder = tmp_path / "wheels"
        folder.mkdir(exist_ok=True)
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {each}\n" for each in requires)
        files = {
            f"{module}.py": textwrap.dedent(source or (PLUGIN.format(flavor=flavor) if flavor else "")),
            f"{info}/METADATA": head,
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        if flavor or source:
            files[f"{info}/entry_points.txt"] = f"[dovetail]\n{name.removeprefix('dovetail-')} = {module}\n"
        record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
        made = folder / f"{module}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(made, "w") as archive:
            for path, text in {**files, f"{info}/RECORD": record}.items():
                archive.writestr(path, text)
        return made

    return make


@pytest.fixture
def lay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """An installed distribution of one module, in a folder of its own on this process's path and on that of those it starts."""

    def make(name: str, files: Mapping[str, str], *, version: str = "1.0", requires: tuple[str, ...] = (), point: str = "") -> Path:
        folder = tmp_path / "site" / name
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        for path, source in files.items():
            (folder / path).write_text(textwrap.dedent(source))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {each}\n" for each in requires)
        )
        if point:
            (info / "entry_points.txt").write_text(f"[dovetail]\n{name.removeprefix('dovetail-')} = {point}\n")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        return folder

    return make
