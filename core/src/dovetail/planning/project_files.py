"""Which files belong to a project's code package, and which of those are refused until somebody lists them.

Where there is git: what it tracks and what it neither tracks nor ignores; else every file below the root. `.dovetailignore` leaves out
more, in the syntax of `.gitignore`, and its `!` patterns list what would be left out or refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dovetail.ledger.code_packages import RECORD
from dovetail.planning import git
from dovetail.planning.file_digests import FileDigests, digests_of_project
from dovetail.planning.refused_files import refused_for_its_name, refused_for_its_size
from dovetail.values.project import FOLDER, cache_folder

IGNORE_FILE = ".dovetailignore"
_MOST_FILES = 50_000
_MOST_BYTES = 1_000_000_000  # of all files together, as an archive is made in memory
_NEVER = frozenset({".git", ".hg", ".svn", "__pycache__"})  # wherever they are
_OF_ONE_MACHINE = tuple(f"{FOLDER}/{name}" for name in ("active", "store", "tracking", "secrets", "package.json", "interactive", "outside"))
_MARKS = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})  # a folder with one of these is a virtual environment, or a tool's cache
_SHOWN = 20  # problems of one kind

Verdict = Callable[[str], "bool | None"]  # True: left out; False: listed; None: nothing is said


class Packaged(NamedTuple):
    """A file of the package. `path`: what is read, with its digest and size as of now; `tracked`: whether git knows it by this name."""

    path: str
    digest: str
    size: int
    executable: bool
    tracked: bool


@dataclass
class ProjectFiles:
    """`files` by their names in the project. `problems`: why they cannot be packaged, each with its cure; `notes`: what was left out."""

    files: dict[str, Packaged] = field(default_factory=dict)
    submodules: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_project_files(root: Path) -> ProjectFiles:
    """The project's files as they are now."""
    found = ProjectFiles()
    if root in (Path.home(), Path(root.anchor)):
        found.problems.append(
            f"The project's root is {root}, so all that lies below it would be its code. Make a folder of its own the root: dovetail init FOLDER."
        )
        return found
    if (root / "__init__.py").exists() and not git.is_used(root):
        found.problems.append(
            f"The project's root is {root}, which is itself a package, so that what it is imported from lies outside. Make the folder above it the "
            f"root: dovetail init {root.parent}."
        )
        return found
    verdict = _verdict_of(root)
    try:
        listed = git.list_files(root) if git.is_used(root) else None
    except git.GitError as error:
        found.problems.append(f"git cannot list the project's files in {root}: {error}. Put this right; its files are what the steps get as their code.")
        return found
    if listed is not None and listed.names:  # none: a repository around the project ignores all of it
        found.submodules += listed.submodules
        found.notes += [f"submodule '{name}' is not checked out; do so with: git submodule update --init" for name in listed.missing]
        names = {name: name in listed.tracked for name in listed.names}
        names.update((name, False) for name in _listed_in_spite_of_git(root, verdict))
    else:
        names = dict.fromkeys(_walk(root, verdict), False)
    _take(found, root, names, verdict)
    return found


def _take(found: ProjectFiles, root: Path, names: Mapping[str, bool], verdict: Verdict) -> None:
    chosen = [name for name in _outside_of_caches(root, names) if verdict(name) is not True]
    if len(chosen) > _MOST_FILES:
        found.problems.append(
            f"The project in {root} has more than {_MOST_FILES:,} files, most of them below {_fullest(chosen)}. "
            f"Leave out what its code does not need, by {IGNORE_FILE}."
        )
        return
    digests = digests_of_project(root)
    taker = _Taker(found, root, verdict, digests)
    for name in sorted(chosen):
        taker.take(name, names[name])
    taker.finish()
    digests.keep()


class _Taker:
    """Takes files one by one, follows links inside the project, and gathers what is refused."""

    def __init__(self, found: ProjectFiles, root: Path, verdict: Verdict, digests: FileDigests) -> None:
        self._found = found
        self._root = str(root)
        self._real = os.path.realpath(root)
        self._verdict = verdict
        self._digests = digests
        self._refused: list[str] = []
        self._folders: dict[str, str] = {}

    def take(self, name: str, tracked: bool) -> None:
        path = f"{self._root}/{name}"
        try:
            status = os.lstat(path)
        except OSError:
            return  # tracked, and deleted since
        if stat.S_ISLNK(status.st_mode):
            self._take_link(name, path, tracked)
        elif stat.S_ISREG(status.st_mode):
            self._take_file(name, path, status, tracked, name)

    def finish(self) -> None:
        for link, target in self._folders.items():
            for name, file in list(self._found.files.items()):
                if name.startswith(target):
                    self._found.files.setdefault(link + name[len(target) :], file._replace(tracked=False))
        total = sum(file.size for file in self._found.files.values())
        if total > _MOST_BYTES:
            self._refused.insert(0, f"The project's files have {total / 1e9:.1f} GB together, and its code can have {_MOST_BYTES / 1e9:.0f} GB. "
                                    f"Leave out data by {IGNORE_FILE}; steps get it as artifacts, or from where it lies.")  # fmt: skip
        more = len(self._refused) - _SHOWN
        self._found.problems += self._refused[:_SHOWN] + ([f"{more} more files of the project are refused for such reasons."] if more > 0 else [])

    def _take_link(self, name: str, path: str, tracked: bool) -> None:
        real = os.path.realpath(path)
        inside = real[len(self._real) + 1 :].replace(os.sep, "/") if real.startswith(self._real + os.sep) else None
        if inside is None:
            self._found.notes.append(f"{name} is a link that leads out of the project, so it is not in the code package")
        elif _is_never(inside) or not os.path.exists(real):
            self._found.notes.append(f"{name} is a link to what is not in the code package, so it is not there either")
        elif os.path.isdir(real):
            self._folders[f"{name}/"] = f"{inside}/"
        else:
            self._take_file(name, real, os.stat(real), tracked, inside)

    def _take_file(self, name: str, path: str, status: os.stat_result, tracked: bool, meant: str) -> None:
        """`meant`: the name of what is read, which for a link is not `name`."""
        listed = self._verdict(name) is False
        reason = None if listed else refused_for_its_name(name) or refused_for_its_name(meant) or refused_for_its_size(status.st_size)
        if reason is None and not _is_text(name):
            reason = "its name is no text that every machine can write"
        if reason is None:
            try:
                digest, holds_key = self._digests.of(meant, path, status)
            except OSError as error:
                digest, holds_key, reason = "", False, f"it cannot be read ({error.strerror})"
            if holds_key and not listed:
                reason = "it holds a private key"
        if reason is not None:
            self._refused.append(
                f"{name!r} would be in the code package, and {reason}. Leave it out by a line in {IGNORE_FILE}, or, if steps need it, list it "
                f"there: `!{name}`."
            )
            return
        self._found.files[name] = Packaged(path, digest, status.st_size, bool(status.st_mode & 0o100), tracked)


def left_out(root: Path, name: str) -> str:
    """By what a file that is there is not in the package."""
    if os.path.isdir(root / name):
        name += "/"
    if _verdict_of(root)(name) is True:
        return IGNORE_FILE
    if git.is_used(root) and git.ignores(root, name):
        return ".gitignore"
    return "what belongs to no project, such as environments and caches"


def _ignore_lines(root: Path) -> list[str]:
    try:
        return (root / IGNORE_FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _verdict_of(root: Path) -> Verdict:
    lines = _ignore_lines(root)
    if not lines:
        return lambda name: None
    import pathspec

    spec = pathspec.GitIgnoreSpec.from_lines(lines)
    return lambda name: spec.check_file(name).include


def _listed_in_spite_of_git(root: Path, verdict: Verdict) -> Iterator[str]:
    """What git ignores and a `!` pattern lists."""
    wanted = [line[1:].strip().lstrip("/") for line in _ignore_lines(root) if line.startswith("!")]
    if wanted:
        anchored = [_plain_part(pattern) for pattern in wanted]
        yield from (name for name in git.list_ignored(root, anchored if all(anchored) else ()) if verdict(name) is False)


def _plain_part(pattern: str) -> str:
    """The folder or file that a pattern can match at all; empty where that may be anywhere."""
    if "/" not in pattern.rstrip("/"):
        return ""
    parts: list[str] = []
    for part in pattern.rstrip("/").split("/"):
        if any(sign in part for sign in "*?[\\"):
            break
        parts.append(part)
    return "/".join(parts)


def _walk(root: Path, verdict: Verdict) -> Iterator[str]:
    """Files and links below a folder that git knows nothing of."""
    todo, count = [""], 0
    lists = any(line.startswith("!") for line in _ignore_lines(root))  # perhaps what lies in a folder that is left out
    while todo and count <= _MOST_FILES:
        prefix = todo.pop()
        with os.scandir(f"{root}/{prefix}") as entries:
            inside = list(entries)
        if any(entry.name in _MARKS for entry in inside) and prefix:
            continue
        for entry in inside:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if not _is_never(name) and (lists or verdict(f"{name}/") is not True):
                    todo.append(f"{name}/")
            else:
                count += 1
                yield name


def _outside_of_caches(root: Path, names: Iterable[str]) -> list[str]:
    """Without what is of one machine or can be made again: environments, caches, artifact stores."""
    names = [name for name in names if not _is_never(name)]
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in _MARKS}
    folders |= {name.rpartition("/")[0] for name in names if name.endswith("format.json") and _is_store(root, name)}
    prefixes = [f"{folder}/" for folder in folders if folder]
    own_cache = os.path.relpath(cache_folder(), root).replace(os.sep, "/")
    if not own_cache.startswith(".."):
        prefixes.append(f"{own_cache}/")
    return [name for name in names if not name.startswith(tuple(prefixes))] if prefixes else names


def _is_never(name: str) -> bool:
    return not _NEVER.isdisjoint(name.split("/")) or name == RECORD or any(name == own or name.startswith(f"{own}/") for own in _OF_ONE_MACHINE)


def _is_store(root: Path, name: str) -> bool:
    """Whether it is what stands at the root of an artifact store."""
    if name.rpartition("/")[2] != "format.json":
        return False
    try:
        text = (root / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return all(f'"{key}"' in text for key in ("store", "layout", "hash"))


def _fullest(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        top = name.partition("/")[0]
        counts[top] = counts.get(top, 0) + 1
    return max(counts, key=lambda top: counts[top])


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
