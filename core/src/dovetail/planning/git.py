"""What the git program says of a project: its files, the commit that they come from, and how they differ from it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dovetail.errors import DovetailError

_LARGEST_DIFF = 20_000_000  # bytes
_AT_ONCE = 500  # paths in one command line
_OF_ANOTHER_COMMAND = frozenset({
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_NAMESPACE",
})  # fmt: skip  # set for what a hook of git starts
_PLAIN_DIFF = ("--relative", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")


class GitError(DovetailError):
    """git is there and does not answer."""


@dataclass
class Listing:
    """Names below a root. `names`: tracked, or neither tracked nor ignored. `missing`: submodules that are not checked out."""

    names: list[str] = field(default_factory=list)
    tracked: set[str] = field(default_factory=set)
    submodules: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Commit:
    """`commit` is None before the first one, `branch` None for a detached head."""

    commit: str | None
    branch: str | None


def is_used(root: Path) -> bool:
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def list_files(root: Path) -> Listing:
    """Every name once, those of submodules and of repositories inside with their folders. Raises GitError."""
    listing = Listing()
    todo = [""]
    while todo:
        prefix = todo.pop()
        for entry in _split(_git(root / prefix, "ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard")):
            tag, name = entry[0], prefix + entry[2:]
            if os.path.isdir(f"{root}/{name}") and not os.path.islink(f"{root}/{name}".rstrip("/")):
                _into(root, name.rstrip("/"), listing, todo)
            else:
                listing.names.append(name)
                if tag != "?":
                    listing.tracked.add(name)
    listing.names = list(dict.fromkeys(listing.names))  # a conflict has a name three times
    return listing


def _into(root: Path, name: str, listing: Listing, todo: list[str]) -> None:
    listing.submodules.append(name)
    if (root / name / ".git").exists():
        todo.append(f"{name}/")
    else:
        listing.missing.append(name)


def list_ignored(root: Path, places: Sequence[str]) -> list[str]:
    """What .gitignore leaves out, everywhere or only at these places."""
    return _split(_git(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *places, literal=True))


def ignores(root: Path, name: str) -> bool:
    return _called(root, ["check-ignore", "-q", "--no-index", "--", name]).returncode == 0


def head(root: Path) -> Commit:
    """Raises GitError."""
    branch = _called(root, ["symbolic-ref", "--quiet", "--short", "HEAD"]).stdout.decode("utf-8", "replace").strip()
    found = _called(root, ["rev-parse", "--verify", "--quiet", "HEAD"]).stdout.decode("ascii", "replace").strip()
    return Commit(found or None, branch or None)


def changed(root: Path) -> list[str]:
    """Tracked names whose content is not the commit's."""
    return _split(_git(root, "diff", "-z", "--name-only", *_PLAIN_DIFF, "HEAD", "--"))


def diff(root: Path, names: Iterable[str]) -> bytes:
    """How these files differ from the commit, cut where it gets too long for anybody to read."""
    chosen, found = list(names), b""
    for start in range(0, len(chosen), _AT_ONCE):
        found += _git(root, "diff", *_PLAIN_DIFF, "HEAD", "--", *chosen[start : start + _AT_ONCE], literal=True)
    return found if len(found) <= _LARGEST_DIFF else found[:_LARGEST_DIFF] + b"\n(the rest is left out)\n"


def _git(folder: Path, *arguments: str, literal: bool = False) -> bytes:
    done = _called(folder, arguments, literal=literal)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitError(said[0].removeprefix("fatal: ").rstrip(".") if said else f"it ended with exit code {done.returncode}")
    return done.stdout


def _called(folder: Path, arguments: Sequence[str], *, literal: bool = False) -> subprocess.CompletedProcess[bytes]:
    environ = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_COMMAND}
    environ |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **({"GIT_LITERAL_PATHSPECS": "1"} if literal else {})}
    try:
        return subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError as error:
        raise GitError("the program git is not installed here, and the project is a git repository") from error


def _split(listing: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listing.split(b"\0") if name]
