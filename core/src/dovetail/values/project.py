"""Where a project's code, stacks and default store lie."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dovetail.errors import ConfigurationError

MARKER = "project.yaml"
FOLDER = ".dovetail"
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Project:
    """`root`: what relative paths and module names start from. `config`: the folder with stacks, components, `active` and `store`.

    `marked` says whether a `.dovetail/project.yaml` was found; without one `config` is the user's own folder.
    """

    root: Path
    config: Path
    marked: bool

    def owns(self, file: str | os.PathLike[str] | None) -> bool:
        """Whether a source file is this project's own code: below the root or in an editable install."""
        return file is not None and _owns(str(self.root), os.fspath(file))

    def relative(self, file: str | os.PathLike[str]) -> str:
        """The file's path below the root, with '/', or its absolute path when it lies elsewhere."""
        path = os.path.abspath(file)
        root = str(self.root)
        return path[len(root) + 1 :].replace(os.sep, "/") if path.startswith(root + os.sep) else path


@functools.lru_cache(maxsize=4096)
def _owns(root: str, file: str) -> bool:
    path = os.path.realpath(file)
    parts = path.split(os.sep)
    if any(part in _INSTALLED for part in parts):
        return False
    real_root, prefix = os.path.realpath(root) + os.sep, os.path.realpath(sys.prefix) + os.sep
    if path.startswith(real_root):
        return not path.startswith(_dovetail_folder()) and (real_root.startswith(prefix) or not path.startswith(prefix))
    return any(path.startswith(editable) for editable in editable_roots())


@functools.cache
def _dovetail_folder() -> str:
    return os.path.realpath(Path(__file__).parents[1]) + os.sep


@functools.cache
def editable_roots() -> tuple[str, ...]:
    """Folders that `pip install -e` put on the path, apart from Dovetail's own core."""
    roots: list[str] = []
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for pth in sorted(Path(site).glob("*.pth")) if site and os.path.isdir(site) else ():
            for line in pth.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith(os.sep) and os.path.isdir(line.strip()):
                    roots.append(os.path.realpath(line.strip()) + os.sep)
    return tuple(root for root in roots if not _dovetail_folder().startswith(root))


def user_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`DOVETAIL_HOME`, else `~/.dovetail`."""
    return Path(environ.get("DOVETAIL_HOME") or Path.home() / FOLDER).absolute()


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where indexes and downloaded payload lie: `DOVETAIL_CACHE`, else the user's cache folder. Losing it loses nothing."""
    if environ.get("DOVETAIL_CACHE"):
        return Path(environ["DOVETAIL_CACHE"]).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dovetail"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dovetail"


def find_project(start: Path | None = None, environ: Mapping[str, str] = os.environ) -> Project:
    """The project that holds `start`, by default the working folder.

    Raises ConfigurationError when `DOVETAIL_PROJECT` names a folder that does not exist.
    """
    if start is None and environ.get("DOVETAIL_PROJECT"):
        root = Path(environ["DOVETAIL_PROJECT"]).absolute()
        if not root.is_dir():
            raise ConfigurationError(f"DOVETAIL_PROJECT names {root}, which is not a folder. Set it to a project's folder or unset it.")
        return _project(root, environ)
    here = Path(start or Path.cwd()).absolute()
    home = Path.home()
    for folder in (here, *here.parents):
        if os.path.isfile(f"{folder}/{FOLDER}/{MARKER}") and folder != home:
            return Project(folder, folder / FOLDER, marked=True)
    git = next((folder for folder in (here, *here.parents) if os.path.exists(f"{folder}/.git")), None)
    return _project(git or (here if start else _script_folder() or here), environ)


def _project(root: Path, environ: Mapping[str, str]) -> Project:
    if os.path.isfile(f"{root}/{FOLDER}/{MARKER}") and root != Path.home():
        return Project(root, root / FOLDER, marked=True)
    return Project(root, user_folder(environ), marked=False)


@functools.cache
def _scripts_folder() -> str:
    return sysconfig.get_path("scripts")


def _script_folder() -> Path | None:
    """The folder of the script that Python was started with, unless that is an installed program."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if not main:
        return None
    folder = Path(main).absolute().parent
    installed = any(part in _INSTALLED for part in folder.parts) or str(folder) == _scripts_folder()
    return None if installed else folder
