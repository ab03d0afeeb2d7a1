"""What one walk has collected, and which modules' live values it may look at."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from dovetail.digest import canonical, of_bytes
from dovetail.planning.code.modules import Module, Modules, Namespace
from dovetail.planning.code.normal import SHORT, short
from dovetail.planning.code.packages import distributions_of
from dovetail.planning.code.places import Places
from dovetail.planning.code.resolution import Resolver
from dovetail.values.project import Project


class Session:
    """What walks of one planning session share: each answer is found once."""

    def __init__(self, project: Project, beside: str | None = None) -> None:
        self.modules = Modules(project, beside)
        self.resolver = Resolver(self.modules)
        self.places = Places(self.modules)
        roots = {str(project.root), os.path.realpath(project.root), *([beside.rstrip(os.sep)] if beside else [])}
        self._roots = [
            json.dumps(root, ensure_ascii=False)[1:-1] for root in sorted(roots, key=len, reverse=True) if len(root) > 1
        ]
        self._loaded: dict[frozenset[str], set[str]] = {}

    def digest(self, value: Any) -> str:
        """Of a described value; paths below the project count from its root, wherever that is checked out."""
        text = canonical(value).decode("utf-8", "surrogatepass")
        for root in self._roots:
            if root in text:
                text = text.replace(root, "{project}")
        return of_bytes(text.encode("utf-8", "surrogatepass"))[:SHORT]

    def loaded_by(self, roots: set[str]) -> set[str]:
        key = frozenset(roots)
        if key not in self._loaded:
            self._loaded[key] = self.modules.loaded_by(key)
        return self._loaded[key]


class Known(NamedTuple):
    """What an earlier walk from the same function found out too late.

    `roots`: modules of the functions and classes that were met as objects. `changed`: `(module, name)` of what reached
    code rebinds or changes in place.
    """

    roots: frozenset[str] = frozenset()
    changed: frozenset[tuple[str, str]] = frozenset()


class Tally:
    """Live values count only in modules that are loaded whenever the step's own module is.

    Others may or may not have been imported by the time of planning, and the key must not depend on that. Which ones
    they are is known at the end, as is what reached code changes; where an answer was given too early, `is_final` is
    false and the walk starts again with what is `known` by then.
    """

    def __init__(self, session: Session, known: Known) -> None:
        self.session = session
        self.reached: dict[int, Module] = {}
        self.packages: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        self._parts: dict[str, set[str]] = {}
        self._given = known
        self._roots: set[str] = set(known.roots)
        self._changed: set[tuple[str, str]] = set(known.changed)
        self._by_value: set[tuple[str, str]] = set()
        self._eager: set[str] = set()
        self._refused_with: int | None = None

    def is_final(self) -> bool:
        early = (self._changed - self._given.changed) & self._by_value
        return not early and (self._refused_with is None or self._refused_with == len(self._roots))

    @property
    def known(self) -> Known:
        return Known(frozenset(self._roots), frozenset(self._changed))

    def parts(self) -> dict[str, str]:
        """One label may stand for several things: functions made by one `def`, names bound twice."""
        return {label: min(found) if len(found) == 1 else short(sorted(found)) for label, found in sorted(self._parts.items())}

    def part(self, label: str, digest: str) -> None:
        self._parts.setdefault(label, set()).add(digest)

    def problem(self, label: str, sentence: str) -> None:
        self.problems.setdefault(label, sentence)

    def reach(self, module: Module) -> None:
        if id(module) in self.reached:
            return
        for each in self.session.modules.with_parents(module):
            self.reached[id(each)] = each
        if module.source is not None and module.source.edited:
            self.edited(module)

    def edited(self, module: Module) -> None:
        self.problem(
            module.label,
            f"The module '{module.label}' was edited after this process imported it, so what runs here is not what its file says; "
            f"start a new process, or reload the module.",
        )

    def root(self, module: Module) -> None:
        self._roots.add(module.name)
        self._eager.add(module.name)

    def loads(self, module: Module, name: str) -> None:
        """Note that `module` imports `name` outside functions."""
        if module.name not in self._eager:
            return
        modules = self.session.modules
        found = modules.find(name) or modules.find(name.rpartition(".")[0])
        if found is not None:
            self._eager.update(each.name for each in modules.with_parents(found))

    def live(self, module: Module) -> Namespace | None:
        """The module's globals where their values count."""
        if module.namespace is None:
            return None
        if module.name not in self._eager:
            self._eager.update(self.session.loaded_by(self._roots))
        if module.name in self._eager:
            return module.namespace
        self._refused_with = len(self._roots) if self._refused_with is None else min(self._refused_with, len(self._roots))
        return None

    def changes(self, module: Module, name: str) -> None:
        self._changed.add((module.label, name))

    def is_changed(self, module: Module, name: str) -> bool:
        return (module.label, name) in self._given.changed

    def counted_by_value(self, module: Module, name: str) -> None:
        self._by_value.add((module.label, name))

    def package(self, name: str | None) -> None:
        """Foreign code that was met as an object of this module."""
        for found in distributions_of(name) if name else ():
            self.packages[found.name] = found.version
