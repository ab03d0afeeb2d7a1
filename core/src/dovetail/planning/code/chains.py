"""Attribute chains, `a.b.c`, and what an assignment or a call changes at their beginning."""

from __future__ import annotations

import ast
from typing import TypeAlias

Chain: TypeAlias = "tuple[str, ...]"

_OF_LISTS = {"append", "appendleft", "extend", "extendleft", "insert", "remove", "sort", "reverse", "rotate", "popleft"}
_OF_SETS = {"add", "discard", "difference_update", "intersection_update", "symmetric_difference_update"}
_OF_MAPPINGS = {"pop", "popitem", "clear", "update", "setdefault", "subtract", "move_to_end", "__setitem__", "__delitem__"}
_OF_HEAPS = {"heappush", "heappop", "heapify", "heappushpop", "heapreplace"}
MUTATORS = frozenset(_OF_LISTS | _OF_SETS | _OF_MAPPINGS)
FUNCTIONS_THAT_MUTATE = frozenset(
    _OF_HEAPS | {"setattr", "delattr", "setitem", "delitem", "insort", "insort_left", "insort_right", "shuffle"}
)
_INNER = frozenset({"get", "setdefault"})  # methods whose result is a part of the object


def chain_of(node: ast.AST) -> Chain | None:
    """`("a", "b", "c")` for `a.b.c`; None for anything that is not only names and dots."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return (node.id, *reversed(names))


def changed_by(target: ast.AST) -> Chain | None:
    """What is changed when this expression is assigned to or mutated: `("x", "y")` for `x.y[1].z`."""
    names: list[str] = []
    while not isinstance(target, ast.Name):
        if isinstance(target, ast.Attribute):
            names.append(target.attr)
            target = target.value
        elif isinstance(target, ast.Subscript):
            names.clear()
            target = target.value
        elif isinstance(target, ast.Call) and isinstance(target.func, ast.Attribute) and target.func.attr in _INNER:
            names.clear()
            target = target.func.value
        else:
            return None
    return (target.id, *reversed(names))


def mutated_by_call(node: ast.Call) -> Chain | None:
    """What `x.append(…)`, `setattr(x, …)` and their like change."""
    func = node.func
    if isinstance(func, ast.Attribute) and func.attr in MUTATORS:
        return changed_by(func.value)
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    return changed_by(node.args[0]) if name in FUNCTIONS_THAT_MUTATE and node.args else None
