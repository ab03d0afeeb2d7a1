"""Source without what does not run: one text per piece of syntax, the same however it is laid out and commented."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from dovetail import digest

SHORT = 32  # hex characters of a part's digest; the key itself is a full digest over all parts
_UNCOUNTED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})  # follow from the position, or do not run
_fields: dict[type, tuple[str, ...]] = {}


def short(value: Any) -> str:
    """A part's digest of a plain value."""
    return digest.of_json(value)[:SHORT]


def normal_form(nodes: Iterable[ast.AST]) -> str:
    """The nodes written out without layout, comments, docstrings and their own (outermost) decorators.

    Works with a list of what is to come instead of calling itself, so deep expressions do not exhaust the stack.
    """
    written: list[str] = []
    todo: list[Any] = []
    for node in nodes:
        _push(node, todo, skipped="decorator_list")
        while todo:
            _write(todo.pop(), todo, written)
    return "".join(written)


def _write(item: Any, todo: list[Any], written: list[str]) -> None:
    if item.__class__ is str:
        written.append(item)
    elif item.__class__ is tuple:
        written.append(_atom(item[0]))
    elif isinstance(item, ast.AST):
        _push(item, todo)
    else:
        todo.append("]")
        todo.extend(reversed([_framed(member) for member in item if not is_bare_text(member)]))
        todo.append("[")


def _push(node: ast.AST, todo: list[Any], skipped: str = "") -> None:
    cls = node.__class__
    fields = _fields.get(cls)
    if fields is None:
        fields = _fields[cls] = tuple(name for name in cls._fields if name not in _UNCOUNTED)
    todo.append(")")
    for name in reversed(fields):
        if name != skipped:
            todo.append(_framed(getattr(node, name, None)))
    todo.append(cls.__name__ + "(")


def _framed(member: Any) -> Any:
    """Plain values are kept apart from punctuation by a tuple around them."""
    return member if isinstance(member, (ast.AST, list)) else (member,)


def _atom(value: Any) -> str:
    if value.__class__ is int:
        return f"{value:#x},"  # decimal notation of huge numbers is refused by the interpreter
    return f"{value.__class__.__name__}:{value!r},"


def is_bare_text(node: Any) -> bool:
    """A docstring, or a string that stands alone anywhere else: neither runs."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
