"""The whole project as one package, for runs whose steps run elsewhere."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dovetail import digest
from dovetail.ledger import layout
from dovetail.ledger.code_packages import Contents, project_digest, store_diff, store_project
from dovetail.ledger.records import Records
from dovetail.planning import git
from dovetail.planning.code.source import content
from dovetail.planning.interactive import capture
from dovetail.planning.package import Kept, import_paths
from dovetail.planning.project_files import IGNORE_FILE, Packaged, ProjectFiles, find_project_files, left_out
from dovetail.planning.workspace import Workspace
from dovetail.values.encoding import SESSION
from dovetail.values.plan import PlanStep
from dovetail.values.project import FOLDER

_OUTSIDE = f"{FOLDER}/outside"  # files that keys reached outside the root
_INTERACTIVE = f"{FOLDER}/interactive"

_kept: set[tuple[str, str, str]] = set()  # store, package, and the day on which this process noted its use


def keep_project(workspace: Workspace, reached: Iterable[Path], steps: Sequence[PlanStep], *, keep: bool) -> Kept:
    """Store the whole project, once per content. `reached`: files that keys reached, which belong to it wherever they lie.

    `keep` False: nothing is stored, and what is wrong is told.
    """
    root = workspace.project.root
    found = find_project_files(root)
    real = os.path.realpath(root)
    places = {path: os.path.realpath(path) for path in reached}
    outside = [path for path, place in places.items() if not _is_below(place, real)]
    found.notes += _ignored(root, [place[len(real) + 1 :].replace(os.sep, "/") for place in places.values() if _is_below(place, real)], found)
    for name, place in import_paths(outside).items():
        found.files[f"{_OUTSIDE}/{name}"] = _packaged(place)
    typed, untold = capture(steps)
    problems = (*found.problems, *untold)
    if problems or not keep:
        return Kept(problems=problems, notes=tuple(found.notes))
    made = {f"{_INTERACTIVE}/{SESSION}.py": typed.encode()} if typed is not None else {}
    package = _store(workspace.ledger.records, root, found.files, made)
    return Kept(package, _described(workspace.ledger.records, root, found, package), notes=tuple(found.notes))


def _ignored(root: Path, reached: Iterable[str], found: ProjectFiles) -> Iterator[str]:
    """Modules that steps import while they run, if at all: only these pass the check of imports without being there."""
    names = [name for name in reached if name not in found.files and left_out(root, name) == ".gitignore"]
    yield from (f"steps use {name}, which .gitignore leaves out of the code package; to have it there, list it in {IGNORE_FILE}: `!{name}`" for name in names)


def _store(records: Records, root: Path, files: Mapping[str, Packaged], made: Mapping[str, bytes]) -> str:
    digests = {**{name: file.digest for name, file in files.items()}, **{name: digest.of_bytes(data) for name, data in made.items()}}
    sizes = {**{name: file.size for name, file in files.items()}, **{name: len(data) for name, data in made.items()}}
    contents = Contents(_roots(root, files, made), sizes, [name for name, file in files.items() if file.executable])
    package = project_digest(digests, contents.to_bytes())
    mark = (records.format(create=True)["store"], package, layout.today())
    if mark not in _kept:
        store_project(records, digests, contents, lambda name: made[name] if name in made else content(files[name].path))
        _kept.add(mark)
    return package


def _described(records: Records, root: Path, found: ProjectFiles, package: str) -> dict[str, Any]:
    """The commit that the files come from, and how they differ from it. Of other files than those in the package nothing is said."""
    said: dict[str, Any] = {"files": len(found.files), "bytes": sum(file.size for file in found.files.values())}
    if not git.is_used(root):
        return said
    head = git.head(root)
    if head.branch is not None:
        said["branch"] = head.branch
    if head.commit is None:
        return {**said, "commit": None, "dirty": True}
    tracked = {name for name, file in found.files.items() if file.tracked}
    changed = git.changed(root)
    differing = [name for name in changed if name in tracked]
    said |= {"commit": head.commit, "dirty": bool(changed) or any(not file.tracked and not _is_made(name) for name, file in found.files.items())}
    if differing:
        diff = git.diff(root, differing)
        said |= {"diff": store_diff(records, package, diff), "diff_bytes": len(diff)}
    return said


def _is_made(name: str) -> bool:
    return name.startswith(f"{_OUTSIDE}/")


def _packaged(place: str) -> Packaged:
    data, status = content(place), os.stat(place)
    return Packaged(place, digest.of_bytes(data), len(data), bool(status.st_mode & stat.S_IXUSR), False)


def _roots(root: Path, files: Mapping[str, Packaged], made: Mapping[str, bytes]) -> tuple[str, ...]:
    """The folders of the package that modules are imported from, in the order of this process."""
    real = os.path.realpath(root)
    folders = {folder for name in files if name.endswith(".py") for folder in _parents(name)}
    entries = [os.path.realpath(entry or os.getcwd()) for entry in sys.path if entry is not None]
    found = [_INTERACTIVE] if made else []
    for place in (*entries, *_folders_of_modules(real)):
        if _is_below(place, real) or place == real:
            name = place[len(real) + 1 :].replace(os.sep, "/")
            if name in folders:
                found.append(name)
    if any(name.startswith(f"{_OUTSIDE}/") for name in files):
        found.append(_OUTSIDE)
    return tuple(dict.fromkeys(found))


def _folders_of_modules(real: str) -> Iterator[str]:
    """Where the loaded modules below a folder are imported from, however: an import hook may have found them."""
    for name, module in sorted(sys.modules.copy().items()):
        namespace = _namespace(module)
        file, spec = namespace.get("__file__"), namespace.get("__spec__")
        name = getattr(spec, "name", None) or ("" if name == "__main__" else name)
        if isinstance(file, str) and _is_below(os.path.realpath(file), real):
            folder = os.path.dirname(os.path.realpath(file))
            levels = name.count(".") + (os.path.basename(file) == "__init__.py")
            for _ in range(levels):
                folder = os.path.dirname(folder)
            if name == "" or os.path.realpath(file).startswith(os.path.join(folder, *name.split("."))):
                yield folder


def _namespace(module: Any) -> Mapping[str, Any]:
    try:
        found = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def _parents(name: str) -> Iterator[str]:
    while name:
        name = name.rpartition("/")[0]
        yield name


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
