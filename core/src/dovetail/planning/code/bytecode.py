"""Compiled code as plain values: for functions without source, and to tell whether a function is what its file says."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any

from dovetail.planning.code.chains import MUTATORS

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME")
_STORES = ("STORE_GLOBAL", "DELETE_GLOBAL")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM")


def normal_code(code: CodeType, documentation: str | None = None) -> list[Any]:
    """What the code does, without file names, lines and `documentation`."""
    return [
        code.co_code.hex(),
        [_constant(item, documentation) for item in code.co_consts],
        list(code.co_names),
        list(code.co_varnames),
        list(code.co_freevars),
        list(code.co_cellvars),
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & 0x2F],
    ]


def _constant(value: Any, documentation: str | None) -> Any:
    if isinstance(value, CodeType):
        return ["code", value.co_name, normal_code(value)]
    if isinstance(value, tuple):
        return ["tuple", [_constant(item, None) for item in value]]
    if isinstance(value, frozenset):
        return ["frozenset", sorted(repr(item) for item in value)]
    if isinstance(value, str) and value == documentation:
        return "documentation"
    return [type(value).__name__, hex(value) if type(value) is int else repr(value)]


def is_compiled_from(code: CodeType, source: Iterable[CodeType]) -> bool:
    """Whether one of the codes that the source gives now is this one."""
    return any(found == code or normal_code(found) == normal_code(code) for found in source)


def compiled(tree: ast.Module) -> dict[tuple[str, int], list[CodeType]] | None:
    """All code of a file by name and first line; None where it does not compile. It is compiled whole because the
    compiler treats a name that the module imports differently."""
    found: dict[tuple[str, int], list[CodeType]] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = compile(tree, "<source>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    for code in _all_code(module):
        found.setdefault((code.co_name, code.co_firstlineno), []).append(code)
    return found


def global_names(code: CodeType) -> tuple[set[str], set[str], set[str], set[str]]:
    """Of the code and all code inside it: names read from the globals, those of them changed in place or rebound,
    attribute names, and modules that it imports."""
    import dis

    read: set[str] = set()
    changed: set[str] = set()
    attributes: set[str] = set()
    imported: set[str] = set()
    kinds = {**dict.fromkeys(_LOADS, read), **dict.fromkeys(_STORES, changed), **dict.fromkeys(_ATTRIBUTES, attributes)}
    for current in _all_code(code):
        last = ""
        for instruction in dis.get_instructions(current):
            name = str(instruction.argval)
            kinds.get(instruction.opname, imported if instruction.opname == "IMPORT_NAME" else set()).add(name)
            if last and name in MUTATORS and instruction.opname in _ATTRIBUTES:
                changed.add(last)
            last = name if instruction.opname in _LOADS else ""
    return read, changed, attributes, imported


def _all_code(code: CodeType) -> Iterator[CodeType]:
    todo = [code]
    while todo:
        current = todo.pop()
        yield current
        todo.extend(item for item in current.co_consts if isinstance(item, CodeType))
