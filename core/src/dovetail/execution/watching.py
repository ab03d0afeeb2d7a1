"""Which local files a step opens, seen through the interpreter's audit events."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from dovetail.execution.scope import StepScope, current
from dovetail.planning import readings
from dovetail.values.encoding import decode
from dovetail.values.project import cache_folder

_CODE = (".py", ".pyc", ".pyd", ".so", ".pth", ".dll", ".dylib")
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/", "/bin/", "/opt/", "/run/")
_FINDERS = ("<frozen importlib", "/importlib/metadata/__init__.py", "/importlib_metadata/__init__.py")  # what looks for modules and for their versions
_WRITES = os.O_WRONLY | os.O_RDWR
_installed = False
_LONGEST_PATH = 1024


def watch() -> None:
    """Begin to watch; once per process, as an audit hook cannot be taken back."""
    global _installed  # noqa: PLW0603  # the interpreter has one list of hooks
    if not _installed:
        _installed = True
        sys.addaudithook(_heard)


# What an audit hook does is seen by no trace function, so that coverage cannot count it: "no cover" says no more than that.


def _heard(event: str, args: tuple[Any, ...]) -> None:  # pragma: no cover
    if event == "open":
        scope = current()
        if scope is not None:
            _opened(scope, *args)
    elif event in ("os.listdir", "os.scandir"):
        scope = current()
        if scope is not None and not _importing():
            _listed(scope, args[0])


def _opened(scope: StepScope, path: Any, mode: Any, flags: Any) -> None:  # pragma: no cover
    if not isinstance(path, (str, bytes)):
        return
    place = os.path.abspath(os.fsdecode(path))
    if place.endswith(_CODE) or _foreign(place, scope):
        return
    writes = (isinstance(flags, int) and flags & _WRITES) or (isinstance(mode, str) and set(mode) & set("wax+"))
    if writes:
        scope.written.add(place)
    elif mode is None and os.path.isdir(place):
        if os.path.isabs(path) or not _removing():
            _listed(scope, place)  # by a file number, as when a folder is removed with all that is in it
    elif place not in scope.opened:
        scope.opened[place] = readings.stamp(place)


def _listed(scope: StepScope, path: Any) -> None:  # pragma: no cover
    if isinstance(path, (str, bytes)):
        place = os.path.abspath(os.fsdecode(path))
        if not _foreign(place + os.sep, scope) and place != _temporary_folder():
            scope.opened.setdefault(place + os.sep, None)


def _temporary_folder() -> str:  # pragma: no cover
    import tempfile

    return tempfile.gettempdir()


def _importing() -> bool:  # pragma: no cover
    file = sys._getframe(2).f_code.co_filename.replace(os.sep, "/")
    return file.startswith(_FINDERS) or file.endswith(_FINDERS)


def _removing() -> bool:  # pragma: no cover
    """Whether shutil removes a folder: the names that it opens are of what is below that, not of what is in the working folder."""
    code = sys._getframe(3).f_code
    return code.co_name.startswith("_rmtree") and os.path.basename(code.co_filename) == "shutil.py"


def _foreign(place: str, scope: StepScope) -> bool:  # pragma: no cover
    """Whether a path belongs to the system, to Python, or to the store itself; what lies in the project belongs to nobody else."""
    root = f"{scope.workspace.project.root}{os.sep}"
    others = (*_python_folders(), *_own_folders(scope))
    if place.startswith(root):  # a worker elsewhere has laid it out in the cache folder
        return place.startswith(tuple(folder for folder in others if folder.startswith(root)))
    return place.startswith((*_SYSTEM, *others))


def _python_folders() -> tuple[str, ...]:  # pragma: no cover
    home = str(Path.home())
    return (sys.prefix + os.sep, sys.base_prefix + os.sep, f"{home}/.cache/", f"{home}/.config/", f"{home}/.local/")


def _own_folders(scope: StepScope) -> tuple[str, ...]:  # pragma: no cover
    store = scope.workspace.store.local_folder("")
    own = (str(cache_folder()) + os.sep, str(scope.workspace.project.config) + os.sep)
    return (*own, str(store).rstrip(os.sep) + os.sep) if store is not None else own


def file_readings(scope: StepScope) -> list[dict[str, Any]]:
    """A reading for each file and folder that the step opened and did not write itself."""
    found = []
    for place, before in scope.opened.items():
        if place.endswith(os.sep):
            found.append(_folder_reading(scope, place.rstrip(os.sep)))
        elif place in scope.written:
            continue
        elif before is not None and readings.stamp(place) != before:
            found.append(readings.file_changed_meanwhile(scope.workspace, place))
        else:
            found.append(readings.file_reading(scope.workspace, place))
    return [reading for reading in found if reading is not None]


def _folder_reading(scope: StepScope, place: str) -> dict[str, Any] | None:
    if any(written.startswith(place + os.sep) for written in scope.written):
        return None
    return readings.folder_reading(scope.workspace, place)


def parameter_readings(scope: StepScope, inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """A reading for each file or folder that a parameter names, as it is before the step runs."""
    found = []
    for given in inputs.values():
        if "value" in given:
            for place in _places(decode(given["value"])):
                found.append(readings.file_reading(scope.workspace, os.path.abspath(place)))
    return found


def _places(value: Any) -> list[str]:
    """Files that text inside a value names, and files and folders that a path names."""
    if isinstance(value, str):
        plausible = 0 < len(value) < _LONGEST_PATH and "\0" not in value and "\n" not in value
        return [value] if plausible and os.path.isfile(value) else []
    if isinstance(value, os.PathLike):
        return [os.fspath(value)] if os.path.exists(value) else []
    if isinstance(value, dict):
        value = list(value.values())
    return [place for item in value for place in _places(item)] if isinstance(value, (list, tuple, set, frozenset)) else []
