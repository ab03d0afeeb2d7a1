"""The part of a walk that reads source: from names to what their statements refer to."""

from __future__ import annotations

import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from dovetail.planning.code.bindings import Binding, Unit
from dovetail.planning.code.live import Description
from dovetail.planning.code.modules import Module, namespace_of
from dovetail.planning.code.normal import SHORT, short
from dovetail.planning.code.packages import distributions_of
from dovetail.planning.code.references import Import, Literal, Reference, References
from dovetail.planning.code.resolution import Found
from dovetail.planning.code.tally import Known, Session, Tally

_IMPORTERS = frozenset(
    {"importlib.import_module", "importlib.__import__", "builtins.__import__", "runpy.run_module", "pkgutil.resolve_name"}
)


class NameWalk(ABC):
    """Keeps a list of what is to be counted instead of calling itself, so that no graph is too deep."""

    def __init__(self, session: Session, known: Known) -> None:
        self.tally = Tally(session, known)
        self._resolver = session.resolver
        self._modules = session.modules
        self._todo: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._seen: set[tuple[Any, ...]] = set()

    @abstractmethod
    def function(self, function: types.FunctionType, closed: bool) -> tuple[str, frozenset[str]] | None: ...

    @abstractmethod
    def class_(self, cls: type) -> str | None: ...

    @abstractmethod
    def is_decorated(self, function: types.FunctionType) -> bool: ...

    @abstractmethod
    def compare(self, module: Module, name: str, binding: Binding, value: Any) -> None:
        """See whether a loaded definition's name still stands for what its source says."""

    def module(self, namespace: dict[str, Any], whole: bool) -> Module | None:
        found = self._modules.of_namespace(namespace)
        if found is None:
            self.tally.package(namespace.get("__name__"))
        elif whole:
            self.push_module(found)
        return found

    def push(self, key: tuple[Any, ...], count: Callable[..., None], *given: Any) -> None:
        if key not in self._seen:
            self._seen.add(key)
            self._todo.append((count, given))

    def push_name(self, module: Module, name: str) -> None:
        self.push((id(module), name), self._name, module, name)

    def push_module(self, module: Module) -> None:
        self.push((id(module),), self._whole, module)

    def drain(self) -> None:
        while self._todo:
            count, given = self._todo.pop()
            count(*given)

    def count(self, module: Module, label: str, units: list[Unit], closed_over: frozenset[str] = frozenset()) -> None:
        """The units' source under one label, and all that it refers to; names that are closed over count elsewhere."""
        decorators = [decorator for unit in units for decorator in self._resolver.counted_decorators(module, unit)]
        everything = [*units, *decorators]
        self.tally.part(label, units[0].digest if len(everything) == 1 else short([unit.digest for unit in everything]))
        for unit in everything:
            self.refer(module, unit.references, label, closed_over)

    def refer(self, module: Module, references: References, label: str, closed_over: frozenset[str] = frozenset()) -> None:
        for reference in references.used:
            if reference[0] is not None or reference[1][0] not in closed_over:
                self.lead(module, reference, label)
        for reference, literals in references.called.items():
            if reference[0] is not None or reference[1][0] not in closed_over:
                self.lead(module, reference, label, literals)
        for reference in references.changed:
            for found in self._resolver.follow(module, reference):
                if found.module is not None and found.name:
                    self.tally.changes(found.module, found.name)

    def lead(self, module: Module, reference: Reference, label: str, literals: Iterable[Literal] | None = None) -> None:
        """Push what a reference leads to. `literals`: it is only called, with these first arguments."""
        for found in self._resolver.follow(module, reference):
            if found.module is None:
                self._foreign(module, found.target, label, literals)
            elif found.target:
                self._import(found, found.module)
            elif found.name:
                self.push_name(found.module, found.name)
            else:
                self.push_module(found.module)

    def value(self, module: Module, name: str, value: Any) -> bool:
        """Count a live value, unless reached code changes it; whether that says all of it."""
        description = Description(self, closed=False)
        said = description.of(value)
        if self.tally.is_changed(module, name):
            return False
        self.tally.counted_by_value(module, name)
        self.tally.part(f"{module.label}:{name}", self.tally.session.digest(said))
        return description.plain

    def _import(self, found: Found, module: Module) -> None:
        self.tally.reach(module)
        self.tally.part(f"{module.label}:{found.name}", short(f"import {found.target}"))
        if not found.typing_only:
            self.tally.loads(module, found.target)
        live = self.tally.live(module)
        if live is not None and found.name in live:
            self._see_whether_replaced(module, found, live[found.name])

    def _see_whether_replaced(self, module: Module, found: Found, value: Any) -> None:
        """Importing copies: what the importer has may since be another thing than what it imported."""
        source, _, name = found.target.rpartition(".")
        origin = namespace_of(sys.modules.get(source))
        if origin is None or origin.get(name, value) is value or sys.modules.get(found.target) is value:
            return
        target = self._modules.find(source)
        if target is not None and self.tally.is_changed(target, name):
            return
        if target is not None:
            self.tally.counted_by_value(target, name)
        if target is not None or callable(value):
            self.value(module, found.name, value)

    def _foreign(self, module: Module, target: str, label: str, literals: Iterable[Literal] | None) -> None:
        if target in _IMPORTERS:
            for literal in literals if literals is not None else [None]:
                self._imported_by_call(module, literal, label)
        elif target == "sys.modules" or target.startswith("sys.modules."):
            self.push_module(module)

    def _imported_by_call(self, module: Module, literal: Literal | None, label: str) -> None:
        name = _named(module, literal) if literal is not None else None
        if name is None:
            self.tally.problem(
                label,
                f"'{label}' imports a module by a computed name, so the code that it runs is not known beforehand; "
                f"give the step cache_key= to say what its result depends on, or import by a literal name.",
            )
            return
        if self._modules.find(name.partition(".")[0]) is None:
            self.tally.packages.update({found.name: found.version for found in distributions_of(name)})
        self.lead(module, (Import(name), ()), label)

    def _whole(self, module: Module) -> None:
        """A module that is passed around may be asked for anything that it holds."""
        self.tally.reach(module)
        if module.source is None:
            return
        top = module.source.top
        names = sorted(top.names) if module.source.tree else module.source.digest
        self.tally.part(f"{module.label}:*", short(names))
        for name, binding in top.names.items():
            if binding.units:
                self.push_name(module, name)
            for imported, _ in binding.imports:
                self._offered(module, (imported, ()))
        for star in top.stars:
            self.lead(module, (star._replace(attr=None), ()), module.label)

    def _offered(self, module: Module, reference: Reference) -> None:
        for found in self._resolver.follow(module, reference):
            if found.module is not None and found.name and not found.target:
                self.push_name(found.module, found.name)

    def _name(self, module: Module, name: str) -> None:
        self.tally.reach(module)
        label = f"{module.label}:{name}"
        source = module.source
        binding = source.top.names.get(name) if source is not None else None
        live = self.tally.live(module)
        if binding is not None and binding.definitions:
            self.count(module, label, binding.units)
            if live is not None and name in live and binding.assignments:
                self.value(module, name, live[name])
            elif live is not None and name in live:
                self.compare(module, name, binding, live[name])
        elif binding is not None and binding.assignments:
            self._constant(module, name, binding, live)
        elif binding is not None and binding.changes:
            self.count(module, label, binding.changes)
        elif source is not None and source.tree is None:
            self.tally.part(f"{module.label}:*", source.digest[:SHORT])
        elif live is not None and name in live:
            self.value(module, name, live[name])

    def _constant(self, module: Module, name: str, binding: Binding, live: dict[str, Any] | None) -> None:
        registered = module.source.top.registered(name) if live is None and module.source is not None else []
        known = [live[name]] if live is not None and name in live else [] if registered else binding.literal()
        if not known or not self.value(module, name, known[0]):
            self.count(module, f"{module.label}:{name}", [*binding.units, *registered])


def _named(module: Module, literal: Literal) -> str | None:
    """The absolute name that a literal import means; None where it starts from a package that is computed."""
    name = literal.name.partition(":")[0]
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    if literal.package is None:
        return None
    if literal.package == "":
        return module.absolute(Import(name[level:], level))
    kept = literal.package.split(".")
    return ".".join([*kept[: len(kept) - (level - 1)], *([name[level:]] if name[level:] else [])])
