"""One walk from a function over everything of the project that it reaches."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from dovetail.planning.code.bindings import Binding
from dovetail.planning.code.bytecode import global_names, normal_code
from dovetail.planning.code.live import Description, closure_of, innermost, is_a
from dovetail.planning.code.modules import Module
from dovetail.planning.code.names import NameWalk
from dovetail.planning.code.normal import short
from dovetail.planning.code.places import Place
from dovetail.planning.code.references import Import
from dovetail.planning.code.source import line_of

_PLAIN_LOADERS = frozenset({"SourceFileLoader", "NoneType"})  # others, such as pytest's, may change what they compile
_NO_SOURCE_IMPORTERS = frozenset({"import_module", "__import__"})


class Walk(NameWalk):
    """Adds to the walk over names the objects that are met: the step itself, closures, members of registries."""

    def start(self, function: Any) -> None:
        """Count a step's function, however it is wrapped, and all that it reaches."""
        description = Description(self, closed=True)
        said = description.of(function)
        simple = isinstance(said, dict) and said.keys() == {"function"}
        self.tally.part("entry", said["function"] if simple else self.tally.session.digest(said))
        self.drain()
        if description.refused is not None and not self.tally.problems:
            self._refuse(getattr(function, "__qualname__", type(function).__name__), "", description.refused)

    def function(self, function: types.FunctionType, closed: bool) -> tuple[str, frozenset[str]] | None:
        place = self._place(function)
        if place is None:
            self.tally.package(function.__globals__.get("__name__"))
            return None
        self.tally.root(place.module)
        self.push(("function", id(function), closed), self._function, function, place, closed)
        return place.label, place.changed

    def class_(self, cls: type) -> str | None:
        place = self.tally.session.places.of_class(cls)
        if place is None:
            self.tally.package(cls.__module__)
            return None
        self.tally.root(place.module)
        self.push(("class", id(cls)), self._class, cls, place)
        return place.label

    def is_decorated(self, function: types.FunctionType) -> bool:
        inner = innermost(function)
        place = self._place(inner) if inner is not function and is_a(inner, types.FunctionType) else None
        return place is not None and place.top is not None

    def compare(self, module: Module, name: str, binding: Binding, value: Any) -> None:
        Description(self, closed=False).members(value)
        function = innermost(value)
        if binding.changes or binding.imports or not is_a(function, types.FunctionType):
            return
        place = self._place(function)
        lines = {line_of(unit.nodes[0]): unit for unit in binding.definitions}
        unit = lines.get(function.__code__.co_firstlineno)
        if place is not None and (place.top == name or place.edited) and place.module is module:
            self._verify(place, function)
            if unit is not None and unit.has_computed_defaults():
                said = Description(self, closed=False).defaults(function)
                self.tally.part(f"{module.label}:{name}.defaults", self.tally.session.digest(said))
        elif not any(self._resolver.counted_decorators(module, each) for each in binding.definitions):
            self.value(module, name, value)  # put there from elsewhere, as a test may do

    def _place(self, function: types.FunctionType) -> Place | None:
        return self.tally.session.places.of_function(function)

    def _function(self, function: types.FunctionType, place: Place, closed: bool) -> None:
        self.tally.reach(place.module)
        self._verify(place, function)
        closed_over = frozenset(function.__code__.co_freevars)
        if place.top is not None:
            self.push_name(place.module, place.top)
        elif place.unit is not None:
            self.count(place.module, place.label, [place.unit], closed_over)
        if place.unit is None or place.ambiguous:
            self.tally.part(place.label, short(normal_code(function.__code__, function.__doc__)))
        if place.unit is None:
            self._globals(function, place)
        self._closure(function, place, closed and not self.is_decorated(function))

    def _verify(self, place: Place, function: types.FunctionType) -> None:
        """See that a function is what its file says: the file may have been edited before it was first parsed."""
        if place.unit is None and not place.edited:
            return
        namespace: Mapping[str, Any] = place.module.namespace or {}
        loader = getattr(namespace.get("__spec__"), "loader", None) or namespace.get("__loader__")
        source = place.module.source
        if (
            source is not None
            and type(loader).__name__ in _PLAIN_LOADERS
            and (place.edited or not source.gives(function.__code__))
        ):
            self.tally.edited(place.module)

    def _closure(self, function: types.FunctionType, place: Place, closed: bool) -> None:
        for name, content in closure_of(function).items():
            description = Description(self, closed)
            said = description.cell(content, name in place.changed)
            self.tally.part(f"closure:{place.label}.{name}", self.tally.session.digest(said))
            if description.refused is not None:
                self._refuse(place.label, name, description.refused)
            if is_a(content, types.ModuleType):
                self._module_cell(content, name, place)

    def _module_cell(self, content: types.ModuleType, name: str, place: Place) -> None:
        """A module that an enclosing function imported counts as far as it is used."""
        found = self._modules.of_namespace(vars(content))
        if found is None:
            return
        references = place.unit.references if place.unit is not None else None
        used = [(ref, references.called.get(ref)) for ref in (*references.used, *references.called)] if references else []
        chains = [(ref[1][1:], literals) for ref, literals in used if ref[0] is None and ref[1][0] == name]
        for chain, literals in chains or [((), None)]:
            self.lead(found, (Import(found.label), chain), place.label, literals)

    def _refuse(self, label: str, name: str, kind: str) -> None:
        holds = f"closes over '{name}', a {kind}," if name else f"holds a {kind}"
        self.tally.problem(
            label,
            f"'{label}' {holds} whose content cannot be counted in a cache key; "
            f"pass it as a parameter or an input, or give the step cache_key= to say what its result depends on.",
        )

    def _class(self, cls: type, place: Place) -> None:
        self.tally.reach(place.module)
        if place.top is not None:
            self.push_name(place.module, place.top)
            return
        functions = [item for item in map(innermost, vars(cls).values()) if is_a(item, types.FunctionType)]
        closed_over = frozenset(name for function in functions for name in function.__code__.co_freevars)
        if place.unit is not None:
            self.count(place.module, place.label, [place.unit], closed_over)
        else:
            self.tally.part(place.label, short(sorted(name for name in vars(cls) if not name.startswith("__"))))
        for function in functions:
            if place.unit is None or function.__code__.co_freevars:
                self.function(function, closed=True)
        for base in cls.__bases__:
            self.class_(base)

    def _globals(self, function: types.FunctionType, place: Place) -> None:
        """What code without source reads from its globals, as they are now."""
        read, changed, attributes, imported = global_names(function.__code__)
        namespace = function.__globals__
        for name in changed:
            self.tally.changes(place.module, name)
        for name in sorted(read & namespace.keys()):
            value = namespace[name]
            if is_a(value, types.ModuleType):
                self._used_module(vars(value).get("__name__", name), attributes, place)
            else:
                self.value(place.module, name, value)
        for name in sorted(imported):
            self._used_module(name, attributes, place)
        if _NO_SOURCE_IMPORTERS & (read | attributes):
            self._imported_by_call(place.module, None, place.label)

    def _used_module(self, name: str, attributes: set[str], place: Place) -> None:
        found = self._modules.find(name)
        if found is None:
            self.tally.package(name)
            return
        names = found.source.top.names.keys() & attributes if found.source is not None else set()
        for attribute in sorted(names):
            self.lead(found, (None, (attribute,)), place.label)
        if not names:
            self.push_module(found)
