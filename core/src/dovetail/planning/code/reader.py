"""The identity of a step's code: everything of the project that it reaches, digested part by part."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dovetail import digest
from dovetail.planning.code.live import innermost
from dovetail.planning.code.modules import Module, folder_of_stranger, namespace_of
from dovetail.planning.code.packages import distributions_of
from dovetail.planning.code.tally import Known, Session
from dovetail.planning.code.walk import Walk
from dovetail.values.project import Project


@dataclass(frozen=True, slots=True)
class CodeIdentity:
    """What a cache key says of a step's code.

    `digest`: over `parts`.
    `parts`: `module:qualname` of every function, class and constant of the project that the step reaches, with a short
    digest of its normalised source or value; `closure:…` for what functions hold; `entry` for the step itself.
    `files`: the project files that these stand in, with the packages around them; absolute and sorted.
    `packages`: version by name of every installed distribution that one of these files imports.
    `uncacheable`: why the parts cannot say all that the step would do, with the cure; None when they do.
    """

    digest: str
    parts: Mapping[str, str]
    files: tuple[Path, ...]
    packages: Mapping[str, str]
    uncacheable: str | None


class CodeReader:
    """Reads code for one planning session, in which no file is expected to change. It imports and runs nothing."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._sessions: dict[str | None, Session] = {None: Session(project)}
        self._identities: dict[int, tuple[Callable[..., Any], CodeIdentity]] = {}
        self._packages: dict[str, Mapping[str, str]] = {}

    def identify(self, function: Callable[..., Any]) -> CodeIdentity:
        """Once per function, whose closure and defaults count as they are at the first time."""
        known = self._identities.get(id(function))
        if known is None:
            known = self._identities[id(function)] = (function, self._identify(function))
        return known[1]

    def imported_with(self, files: Iterable[Path]) -> tuple[Path, ...]:
        """These files of identities and all that Python executes when it imports them: what a copy must hold to run."""
        wanted = {str(file) for file in files}
        found = set(wanted)
        for modules in [session.modules for session in self._sessions.values()]:
            names = modules.loaded_by(module.name for module in modules.known() if module.path in wanted)
            loaded = [module for name in names for module in [modules.find(name)] if module is not None]
            found.update(module.path for module in loaded if module.path is not None and module.source is not None)
        return tuple(sorted(map(Path, found)))

    def _session_of(self, function: Any) -> Session:
        """A step that stands outside the project, and is not installed either, counts as if its folder were the project's."""
        inner = innermost(function.func if isinstance(function, functools.partial) else function)
        named = getattr(inner, "__module__", None) or type(inner).__module__
        namespace = getattr(inner, "__globals__", None) or namespace_of(sys.modules.get(named)) or {}
        beside = folder_of_stranger(self._project, namespace.get("__file__"))
        if beside not in self._sessions:
            self._sessions[beside] = Session(self._project, beside)
        return self._sessions[beside]

    def _identify(self, function: Callable[..., Any]) -> CodeIdentity:
        session = self._session_of(function)
        known, final = Known(), False
        while not final:
            walk = Walk(session, known)
            walk.start(function)
            known, final = walk.tally.known, walk.tally.is_final()
        tally = walk.tally
        parts, reached = tally.parts(), tally.reached.values()
        for module in reached:
            tally.packages.update(self._packages_of(session, module))
        return CodeIdentity(
            digest=digest.of_json(parts),
            parts=parts,
            files=tuple(sorted({Path(module.path) for module in reached if module.source is not None and module.path})),
            packages=dict(sorted(tally.packages.items())),
            uncacheable=tally.problems[min(tally.problems)] if tally.problems else None,
        )

    def _packages_of(self, session: Session, module: Module) -> Mapping[str, str]:
        if module.source is None:
            return {}
        known = self._packages.get(module.source.path)
        if known is None:
            known = self._packages[module.source.path] = {
                found.name: found.version
                for name in module.source.imported
                if session.modules.find(name.partition(".")[0]) is None
                for found in distributions_of(name)
            }
        return known
