"""Values that exist in this process, constants and what closures hold, written as JSON that is the same in the next."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import re
import sys
import types
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, Protocol

from dovetail.digest import canonical
from dovetail.errors import MaterializerError
from dovetail.planning.code.modules import Module, is_dovetail, namespace_of
from dovetail.values.encoding import encode, module_name, type_name

_ATOMS = frozenset({str, int, float, bool, type(None), bytes})
_SEQUENCES = (list, tuple, deque)
_SETS = (set, frozenset)
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter, ChainMap, types.MappingProxyType)
_CONTAINERS = frozenset({*_SEQUENCES, *_SETS, *_MAPPINGS})
_BASES: tuple[Any, ...] = (str, int, float, bytes, list, tuple, set, frozenset)
_CHANGEABLE = (list, dict, set, bytearray, deque)
_BUILTINS = (types.BuiltinFunctionType, types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType)
_SINGLE = (type(Ellipsis), type(NotImplemented))

_NAMESPACES = ("types:SimpleNamespace", "argparse:Namespace")  # what a script keeps its options in

class Reach(Protocol):
    """What a description hands on: project code that the value holds."""

    def function(self, function: types.FunctionType, closed: bool) -> tuple[str, frozenset[str]] | None:
        """Its label and those of its free names that it changes itself; None for foreign functions."""

    def class_(self, cls: type) -> str | None:
        """Its label; None for foreign classes."""

    def module(self, namespace: dict[str, Any], whole: bool) -> Module | None:
        """The project's module; `whole` when it may be asked for anything. None for foreign modules."""

    def is_decorated(self, function: types.FunctionType) -> bool:
        """Whether it was made by decorating a top-level function, so that the decoration counts as source."""


class Description:
    """Describes one value.

    `closed`: nothing else says what the value is, so the state of objects counts, and what cannot be counted is
    `refused` (a closure). Otherwise (a constant, whose assignment counts as source) such things go by their type.
    `plain`: the value is made of JSON values, bytes and enum members only, so that it says all by itself.
    """

    def __init__(self, reach: Reach, closed: bool) -> None:
        self._reach = reach
        self._closed = closed
        self._active: dict[int, int] = {}
        self.plain = True
        self.refused: str | None = None

    def _opened(self) -> Description:
        """The same description where other things say what the value is."""
        opened = Description(self._reach, closed=False)
        opened._active = self._active
        return opened

    def of(self, value: Any) -> Any:
        cls = type(value)
        if cls in _ATOMS:
            return encode(value)
        key = id(value)
        if key in self._active:
            return {"within": len(self._active) - self._active[key]}
        self._active[key] = len(self._active)
        try:
            return self._container(value, cls) if cls in _CONTAINERS else self._object(value, cls)
        except Exception:  # too deep, or a stranger's attribute access, which may do anything
            self.plain = False
            return self._uncountable(value, cls)
        finally:
            del self._active[key]

    def _container(self, value: Any, cls: type) -> Any:
        if cls in _SEQUENCES:
            return {cls.__name__: [self.of(item) for item in value]}
        if cls in _SETS:
            return {cls.__name__: sorted((self.of(item) for item in value), key=canonical)}
        pairs = [[self.of(key), self.of(item)] for key, item in value.items()]
        if cls is not defaultdict:
            return {cls.__name__: pairs}
        factory = value.default_factory
        named = isinstance(factory, type) and factory.__module__ == "builtins"
        return {cls.__name__: pairs, "factory": factory.__name__ if named else self.of(factory)}

    def _object(self, value: Any, cls: type) -> Any:
        if issubclass(cls, enum.Enum):
            self._reach.class_(cls)
            return encode(value)
        if _is_frozen(cls):
            return {
                "frozen": self._class_name(cls),
                "fields": [[name, self.of(getattr(value, name, None))] for name in _field_names(cls)],
            }
        self.plain = False
        for kind, describe in _KINDS:
            if issubclass(cls, kind):
                return describe(self, value)
        return self._instance(value, cls)

    def _class_name(self, cls: type) -> str:
        return self._reach.class_(cls) or type_name(cls)

    def _class(self, cls: type) -> Any:
        return {"class": self._class_name(cls)}

    def _function(self, value: types.FunctionType) -> Any:
        known = self._reach.function(value, self._closed)
        if known is None:
            return self._foreign_function(value)
        inner = self._opened() if self._closed and self._reach.is_decorated(value) else self
        label, changed = known
        said: dict[str, Any] = {"function": label}
        closure = {name: inner.cell(content, name in changed) for name, content in closure_of(value).items()}
        if closure:
            said["closure"] = closure
        if "<" in label and (value.__defaults__ or value.__kwdefaults__):
            said["defaults"] = inner.defaults(value)
        if "__wrapped__" in value.__dict__ and not closure:
            said["wrapped"] = inner.of(value.__dict__["__wrapped__"])
        return said

    def cell(self, content: Any, changed: bool) -> Any:
        if is_a(content, types.ModuleType):
            return self._module(content, whole=False)
        return self.changing(content) if changed else self.of(content)

    def _foreign_function(self, value: types.FunctionType) -> Any:
        """Counts by its package; project functions that it was given, as a decorator is, count too."""
        opened = self._opened()
        contents = (*closure_of(value).values(), value.__dict__.get("__wrapped__"))
        given = [opened.of(item) for item in contents if is_a(item, _CALLABLES)]
        return {"foreign": f"{value.__globals__.get('__name__')}:{value.__code__.co_name}", "given": given}

    def defaults(self, value: types.FunctionType) -> list[Any]:
        """Of values that cannot change: what can is the function's memory."""
        given = [*enumerate(value.__defaults__ or ()), *sorted((value.__kwdefaults__ or {}).items())]
        return [[name, self.changing(item) if is_a(item, _CHANGEABLE) else self.of(item)] for name, item in given]

    def changing(self, value: Any) -> Any:
        """A value that the code itself changes: its content is no input, but code that it holds is reached."""
        self._opened().of(value)
        return "changing"

    def members(self, value: Any) -> None:
        """Reach the code in containers that a class or function has as attributes: registries."""
        attributes = getattr(value, "__dict__", {}) if is_a(value, (type, types.FunctionType)) else {}
        for held in [held for held in attributes.values() if type(held) in _CONTAINERS and held]:
            self.changing(held)

    def _partial(self, value: functools.partial[Any]) -> Any:
        return {"partial": self.of(value.func), "args": self.of(value.args), "keywords": self.of(value.keywords)}

    def _method(self, value: types.MethodType) -> Any:
        return {"method": self.of(value.__func__), "self": self.of(value.__self__)}

    def _builtin(self, value: Any) -> Any:
        owner = getattr(value, "__self__", None)
        bound = owner is not None and not is_a(owner, (types.ModuleType, type))
        name = f"{getattr(value, '__module__', None) or ''}:{value.__qualname__}"
        return {"builtin": name, "self": self.of(owner) if bound else None}

    def _module(self, value: types.ModuleType, whole: bool = True) -> Any:
        namespace = namespace_of(value) or {}
        found = self._reach.module(namespace, whole)
        return {"module": found.label if found else namespace.get("__name__")}

    def _alias(self, value: Any) -> Any:
        return {"alias": type(value).__name__, "args": [self.of(item) for item in _type_arguments(value)]}

    def _instance(self, value: Any, cls: type) -> Any:
        function = wrapped_by(value)
        if function is not None and is_dovetail(cls.__module__):
            return self.of(function)
        label = self._reach.class_(cls)
        if label is not None:
            state = [*_contents(value, cls), _state(value)]
            return {"instance": label, "state": self.of(state) if self._closed else self.changing(state)}
        if function is not None:
            return {"wrapped": self.of(function), "by": type_name(cls)}
        if type_name(cls) in _NAMESPACES:
            return {"instance": type_name(cls), "state": self.of(_state(value))}
        return self._foreign(value, cls)

    def _foreign(self, value: Any, cls: type) -> Any:
        if cls.__module__ == "logging":
            return {"logger": getattr(value, "name", None)}
        if cls.__module__ == "typing":
            return {**self._alias(value), "name": getattr(value, "__name__", None)}
        contents = _contents(value, cls)
        if contents:
            return {"kind": type_name(cls), "contents": self.of(contents[0])}
        name = _import_name(value)
        if name is not None:
            return {"object": name}
        return self._encoded(value, cls) if self._closed else {"type": type_name(cls)}

    def _encoded(self, value: Any, cls: type) -> Any:
        try:
            return encode(value)
        except (MaterializerError, RecursionError):
            return self._uncountable(value, cls)

    def _uncountable(self, value: Any, cls: type) -> Any:
        if self._closed and self.refused is None:
            self.refused = type_name(cls)
        return {"type": type_name(cls)}


def is_a(value: Any, kinds: Any) -> bool:
    """As its type says; objects that stand for others have a say in `isinstance`."""
    return issubclass(type(value), kinds)


def _is_frozen(cls: type) -> bool:
    parameters = getattr(cls, "__dataclass_params__", None)
    return bool(parameters and parameters.frozen) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))


def _field_names(cls: Any) -> list[str]:
    return list(cls._fields) if issubclass(cls, tuple) else [item.name for item in dataclasses.fields(cls)]


def closure_of(function: types.FunctionType) -> dict[str, Any]:
    """What its free names stand for, without those that are not assigned yet."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def wrapped_by(value: Any) -> Any:
    """The function behind a decorated one, a method or a step; None for what wraps none."""
    for name in ("__wrapped__", "__func__", "function")[: 3 if is_dovetail(type(value).__module__) else 2]:
        try:
            found = getattr(value, name, None)
        except Exception:  # a stranger's attribute access may do anything
            found = None
        if callable(found):
            return found
    return None


def innermost(value: Any) -> Any:
    """The function that decorators, methods and steps were made from; what it is none of comes back as it is."""
    inner = wrapped_by(value)
    for _ in range(100):  # an object may wrap itself
        if inner is None:
            break
        value, inner = inner, wrapped_by(inner)
    return value


def _state(value: Any) -> dict[str, Any]:
    state = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                state[name] = getattr(value, name)
    return dict(sorted(state.items()))


def _type_arguments(value: Any) -> tuple[Any, ...]:
    return (getattr(value, "__origin__", None), *(getattr(value, "__args__", None) or ()))


def _contents(value: Any, cls: type) -> list[Any]:
    """As the only member, what an object of a subclass holds as the string, number or container that it also is."""
    if issubclass(cls, dict):
        return [dict(dict.items(value))]
    kind = next((kind for kind in _BASES if issubclass(cls, kind)), None)
    if kind is None:
        return []
    return [
        list(kind.__iter__(value))
        if kind in (list, tuple)
        else set(kind.__iter__(value))
        if kind in _SETS
        else kind.__new__(kind, value)
    ]


def _import_name(value: Any) -> str | None:
    """Where a module's attribute is this very object, its name says what it is."""
    try:
        name = getattr(value, "__qualname__", None) or value.__name__
        found: Any = sys.modules.get(value.__module__)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:  # no such name, or a stranger's attribute access
        return None
    return f"{module_name(value.__module__)}:{name}" if found is value else None


_CALLABLES = (types.FunctionType, types.MethodType, functools.partial)
_KINDS: tuple[tuple[Any, Callable[[Description, Any], Any]], ...] = (
    (types.FunctionType, Description._function),
    (type, Description._class),
    (functools.partial, Description._partial),
    (types.MethodType, Description._method),
    (_BUILTINS, Description._builtin),
    (types.ModuleType, Description._module),
    ((types.GenericAlias, types.UnionType), Description._alias),
    (_SINGLE, lambda _, value: {"single": repr(value)}),
    (re.Pattern, lambda self, value: {"pattern": self.of(value.pattern), "flags": value.flags}),
    (range, lambda _, value: {"range": [value.start, value.stop, value.step]}),
    (property, lambda self, value: {"property": [self.of(value.fget), self.of(value.fset), self.of(value.fdel)]}),
    ((staticmethod, classmethod), lambda self, value: self.of(value.__func__)),
)
