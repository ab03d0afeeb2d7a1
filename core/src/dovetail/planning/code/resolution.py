"""From a reference to what it means in the project: through imports, re-exports, submodules and star imports."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable
from typing import NamedTuple

from dovetail.planning.code.bindings import Unit, callee
from dovetail.planning.code.modules import Module, Modules, is_dovetail
from dovetail.planning.code.references import Import, Reference

_WHOLE_MODULE = frozenset({"globals", "eval", "exec", "__dict__"})  # they reach every name of the module


class Found(NamedTuple):
    """One thing that a reference leads to.

    `name` of `module`, or the whole module where `name` is empty. With `target`, the name is an import of that dotted
    name, which is on the way to something else; without a module, `target` is foreign code.
    """

    module: Module | None
    name: str = ""
    target: str = ""
    typing_only: bool = False


class Resolver:
    """Remembers its answers for one planning session."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._followed: dict[tuple[int, Reference], list[Found]] = {}
        self._kept: dict[int, list[Unit]] = {}

    def follow(self, module: Module, reference: Reference) -> list[Found]:
        key = (id(module), reference)
        found = self._followed.get(key)
        if found is None:
            found = self._followed[key] = _Path(self._modules, module, reference).found
        return found

    def counted_decorators(self, module: Module, unit: Unit) -> list[Unit]:
        """The decorators that are not Dovetail's."""
        kept = self._kept.get(id(unit))
        if kept is None:
            kept = [item for item in unit.decorators if not self._is_dovetail(module, item.nodes[0], 8)]
            self._kept[id(unit)] = kept
        return kept

    def _is_dovetail(self, module: Module, node: ast.AST, depth: int) -> bool:
        chain = callee(node)
        if chain is None or depth == 0:
            return False
        known = module.source is None or chain[0] in module.source.top.names
        imported = [] if known or module.source is None else module.source.imports_inside(chain[0])
        references: list[Reference] = [(None, chain), *((item, chain[1:]) for item in imported)]
        return any(self._leads_to_dovetail(found, depth) for reference in references for found in self.follow(module, reference))

    def _leads_to_dovetail(self, found: Found, depth: int) -> bool:
        if found.module is None:
            return is_dovetail(found.target)
        if found.target or not found.name or found.module.source is None:
            return False
        binding = found.module.source.top.names.get(found.name)
        values = [getattr(unit.nodes[0], "value", None) for unit in binding.assignments] if binding else []
        if not values or (binding and binding.definitions):
            return False
        return all(value is not None and self._makes_dovetail(found.module, value, depth - 1) for value in values)

    def _makes_dovetail(self, module: Module, value: ast.AST, depth: int) -> bool:
        """`step(retry=…)` and `partial(step, retry=…)` are Dovetail's decorators under another name."""
        if isinstance(value, ast.Call) and (callee(value) or ("",))[-1] == "partial" and value.args:
            value = value.args[0]
        return self._is_dovetail(module, value, depth)


class _Path:
    """The way of one reference; it may fork where a name is imported in two places."""

    def __init__(self, modules: Modules, start: Module, reference: Reference) -> None:
        self.found: list[Found] = []
        self._modules = modules
        self._start = start
        self._todo: list[tuple[Module, tuple[str, ...], bool]] = []
        self._seen: set[tuple[int, tuple[str, ...]]] = set()
        imported, chain = reference
        if imported is None:
            self._todo.append((start, chain, True))
        else:
            self._enter(start, imported, chain)
        while self._todo:
            self._step(*self._todo.pop())

    def _enter(self, module: Module, imported: Import, rest: tuple[str, ...]) -> str:
        """Go on in the module that an import names; its dotted name, with the attribute."""
        name = module.absolute(imported)
        chain = (imported.attr, *rest) if imported.attr else rest
        target = self._modules.find(name)
        if target is None:
            self.found.append(Found(None, target=".".join([name, *chain])))
        else:
            self._todo.append((target, chain, False))
        return f"{name}.{imported.attr}" if imported.attr else name

    def _step(self, module: Module, chain: tuple[str, ...], inside: bool) -> None:
        if not chain:
            self.found.append(Found(module))
            return
        again = (id(module), chain) in self._seen
        self._seen.add((id(module), chain))
        name, rest = chain[0], chain[1:]
        binding = module.source.top.names.get(name) if module.source else None
        if binding is None or again:
            self._unbound(module, chain, inside)
            return
        if binding.units:
            self.found.append(Found(module, name))
        for imported, typing_only in binding.imports:
            target = self._enter(module, imported, rest)
            self.found.append(Found(module, name, target, typing_only))

    def _unbound(self, module: Module, chain: tuple[str, ...], inside: bool) -> None:
        """A name that no statement of the module binds: a submodule, a star import, a built-in, or set from elsewhere."""
        name = chain[0]
        submodule = self._modules.submodule(module, name)
        if submodule is not None:
            self._todo.append((submodule, chain[1:], False))
            return
        if self._starred(module, chain):
            return
        if name in _WHOLE_MODULE:
            self.found.append(Found(module))
        elif inside and hasattr(builtins, name):
            self.found.append(Found(None, target=f"builtins.{name}"))
        elif not inside and module.source is not None and "__getattr__" in module.source.top.names:
            self.found.append(Found(module, "__getattr__"))
        else:
            self.found.append(Found(module, name))

    def _starred(self, module: Module, chain: tuple[str, ...]) -> bool:
        stars = module.source.top.stars if module.source else []
        known = False
        for star in stars:
            name = module.absolute(star)
            target = self._modules.find(name)
            if target is not None and not self._offers(target, chain[0]):
                continue
            known = known or target is not None
            self.found.append(Found(module, chain[0], f"{name}.{chain[0]}"))
            if target is not None:
                self._todo.append((target, chain, False))
        return known

    def _offers(self, module: Module, name: str) -> bool:
        todo, seen = [module], {module.name}
        while todo:
            current = todo.pop()
            if current.source is None:
                continue
            if name in current.source.top.names or self._modules.submodule(current, name) is not None:
                return True
            todo.extend(found for found in self._targets(current, current.source.top.stars) if found.name not in seen)
            seen.update(found.name for found in todo)
        return False

    def _targets(self, module: Module, imports: Iterable[Import]) -> list[Module]:
        return [found for item in imports for found in [self._modules.find(module.absolute(item))] if found is not None]
