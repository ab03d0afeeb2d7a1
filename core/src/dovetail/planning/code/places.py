"""Where a live function or class stands in the project's source."""

from __future__ import annotations

import ast
import os
import sys
import types
from typing import NamedTuple

from dovetail.planning.code.bindings import Unit
from dovetail.planning.code.modules import Module, Modules, Namespace, namespace_of
from dovetail.planning.code.source import Piece, line_of


class Place(NamedTuple):
    """`top`: the top-level name that it is or, for a method, stands in. `unit`: its own syntax, None without source.

    `changed`: free names that it rebinds or changes in place. `ambiguous`: other lambdas stand on the same line.
    `edited`: its file does not have it where the interpreter read it.
    """

    module: Module
    label: str
    top: str | None = None
    unit: Unit | None = None
    changed: frozenset[str] = frozenset()
    ambiguous: bool = False
    edited: bool = False


class Places:
    """Remembers its answers for one planning session."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._functions: dict[tuple[int, int], tuple[types.FunctionType, Place | None]] = {}

    def of_function(self, function: types.FunctionType) -> Place | None:
        """None for code that is not the project's."""
        key = (id(function.__code__), id(function.__globals__))
        known = self._functions.get(key)
        if known is None:
            module = self._modules.of_namespace(function.__globals__)
            known = self._functions[key] = (function, _place(module, function) if module else None)
        return known[1]

    def of_class(self, cls: type) -> Place | None:
        """None for code that is not the project's."""
        namespace = _namespace_of_class(cls)
        module = self._modules.of_namespace(namespace) if namespace is not None else None
        if module is None:
            return None
        label = f"{module.label}:{cls.__qualname__}"
        if module.source is None or module.source.tree is None:
            return Place(module, label)
        outermost = cls.__qualname__.partition(".")[0]
        if "<locals>" not in cls.__qualname__ and outermost in module.source.top.names:
            return Place(module, f"{module.label}:{outermost}", outermost)
        pieces = [piece for piece in module.source.pieces(cls.__name__) if piece.qualname == cls.__qualname__]
        return Place(module, label, unit=Unit(tuple(node for piece in pieces for node in piece.unit.nodes)) if pieces else None)


def _place(module: Module, function: types.FunctionType) -> Place:
    code = function.__code__
    label = f"{module.label}:{getattr(code, 'co_qualname', function.__qualname__)}"
    source = module.source
    if source is None or source.tree is None or not _is_file(code.co_filename, source.path):
        return Place(module, label)
    pieces = [piece for piece in source.pieces(code.co_name) if line_of(piece.unit.nodes[0]) == code.co_firstlineno]
    if code.co_name == "<lambda>" and len(pieces) > 1:
        pieces = [piece for piece in pieces if _may_be(piece, code)] or pieces
    if not pieces:
        return Place(module, label, edited=True)
    piece = pieces[0]
    changed = frozenset(ref[1][0] for each in pieces for ref in each.unit.references.changed if ref[0] is None)
    if len(pieces) > 1:
        together = Unit(tuple(node for each in pieces for node in each.unit.nodes))
        return Place(module, f"{module.label}:{piece.qualname}", None, together, changed, ambiguous=True)
    top = None if piece.in_function else piece.outermost or (None if code.co_name == "<lambda>" else piece.qualname)
    return Place(module, f"{module.label}:{top or piece.qualname}", top, piece.unit, changed)


def _may_be(piece: Piece, code: types.CodeType) -> bool:
    """Whether a lambda takes these parameters."""
    given: ast.arguments | None = getattr(piece.unit.nodes[0], "args", None)
    if given is None:
        return False
    names = tuple(item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs))
    return names == code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _is_file(filename: str, path: str) -> bool:
    """By name alone where the code was compiled elsewhere or from a relative path."""
    return filename == path or os.path.basename(filename) == os.path.basename(path)


def _namespace_of_class(cls: type) -> Namespace | None:
    found = namespace_of(sys.modules.get(cls.__module__))
    if found is not None:
        return found
    functions = (item for item in vars(cls).values() if isinstance(item, types.FunctionType))
    return next((item.__globals__ for item in functions), None)
