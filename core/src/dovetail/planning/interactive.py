"""Steps that were typed in, as in a notebook's cells: written out as a module that another process can import."""

from __future__ import annotations

import ast
import builtins
import linecache
import sys
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dovetail.errors import MaterializerError
from dovetail.planning.code.bindings import DEFINITIONS
from dovetail.planning.code.references import references
from dovetail.planning.code.source import line_of
from dovetail.values.encoding import SESSION, encode
from dovetail.values.plan import PlanStep

_MADE_AGAIN = frozenset({"re", "functools", "typing", "typing_extensions", "types", "logging", "string", "operator", "zoneinfo", "fractions"})
_LONGEST = 1_000_000  # characters of a value
_MARK = f"{SESSION}:"
_HEADING = '"""What the steps of an interactive session use, as its cells say it."""'
_DECODE = "from dovetail.values.encoding import decode as _decode\nfrom dovetail.values.imports import load_object as _load_object"
_RESOLVE = f"""def _resolve(target):
    module, _, name = target.partition(":")
    return globals()[name] if module == {SESSION!r} else _load_object(target)"""


class Said(NamedTuple):
    """The statement that bound a name last, and the number of its cell."""

    node: ast.stmt
    text: str
    cell: int


def capture(steps: Sequence[PlanStep]) -> tuple[str | None, tuple[str, ...]]:
    """The module's text, None where nothing was typed in, and what cannot be written out, each with its cure."""
    wanted = {name: step.invocation for step in reversed(steps) for name in _names(step.to_json())}
    if not wanted:
        return None, ()
    session = _Session(vars(sys.modules["__main__"]))
    for name, invocation in sorted(wanted.items()):
        session.write(name, invocation)
    return session.text(), tuple(session.problems)


def _names(record: Any) -> Iterator[str]:
    """Every top-level name of the session that a record refers to."""
    if isinstance(record, str):
        if record.startswith(_MARK) and "<" not in record:
            yield record[len(_MARK) :].partition(".")[0]
    elif isinstance(record, Mapping):
        for value in record.values():
            yield from _names(value)
    elif isinstance(record, (list, tuple)):
        for value in record:
            yield from _names(value)


class _Session:
    """Writes out names one by one, each behind those that it uses."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._said: dict[str, Said] = {}
        self._imports: dict[str, list[str]] = {}
        self._pieces: list[str] = []
        self._begun: set[str] = set()
        self._decodes = False
        self._future = False
        self.problems: list[str] = []
        cells = namespace.get("In")
        for number, text in enumerate(cells if isinstance(cells, list) else ()):
            self._read(str(text), number)

    def text(self) -> str:
        future = ["from __future__ import annotations"] if self._future else []
        decode = [_DECODE, _RESOLVE] if self._decodes else []
        return "\n\n".join([_HEADING, *future, *decode, *dict.fromkeys(self._pieces)]) + "\n"

    def _read(self, text: str, number: int) -> None:
        for node in _statements(_parsed(text)):
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                self._future = True
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    self._imported(node, alias, Said(node, text, number))
            else:
                self._said.update(dict.fromkeys(_bound_by(node), Said(node, text, number)))

    def _imported(self, node: ast.Import | ast.ImportFrom, alias: ast.alias, said: Said) -> None:
        name = alias.asname or (alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name)
        alone = ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias], node.level)
        self._imports.setdefault(name, []).append(ast.unparse(alone))
        self._said[name] = said

    def write(self, name: str, invocation: str) -> None:
        if name in self._begun or name not in self._namespace or (name.startswith("__") and name.endswith("__")):
            return
        self._begun.add(name)
        value, said = self._namespace[name], self._said.get(name)
        if said is not None and isinstance(said.node, (ast.Import, ast.ImportFrom)):
            self._pieces += self._imports[name]
        elif not (self._definition(value, said, invocation) or self._import(name, value) or self._value(name, value, invocation)):
            self._assignment(name, value, said, invocation)

    def _uses(self, node: ast.AST, invocation: str) -> None:
        for name in sorted(_used_by(node)):
            if name in self._namespace or not hasattr(builtins, name):
                self.write(name, invocation)

    def _definition(self, value: Any, said: Said | None, invocation: str) -> bool:
        found = _definition_of(value) or (said if said is not None and isinstance(said.node, DEFINITIONS) else None)
        if found is None:
            return False
        self._uses(found.node, invocation)
        lines = found.text.splitlines()[line_of(found.node) - 1 : found.node.end_lineno]
        self._pieces.append(textwrap.dedent("\n".join(lines)))
        return True

    def _import(self, name: str, value: Any) -> bool:
        if isinstance(value, types.ModuleType):
            self._pieces.append(f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}")
            return True
        module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(qualname, str) or module in ("__main__", "builtins") or "." in qualname:
            return False
        if getattr(sys.modules.get(module), qualname, None) is not value:
            return False
        self._pieces.append(f"from {module} import {qualname}" + (f" as {name}" if name != qualname else ""))
        return True

    def _value(self, name: str, value: Any, invocation: str) -> bool:
        """Values that records can hold are written as they are now, whatever statements made them so."""
        try:
            record = encode(value)
        except (MaterializerError, TypeError, ValueError, RecursionError):
            return False
        text = repr(record)
        if len(text) > _LONGEST:
            return False
        if record == value and _is_plain(value):
            self._pieces.append(f"{name} = {text}")
            return True
        for needed in _names(record):
            self.write(needed, invocation)
        self._decodes = True
        self._pieces.append(f"{name} = _decode({text}, _resolve)")
        return True

    def _assignment(self, name: str, value: Any, said: Said | None, invocation: str) -> None:
        """What has no state of its own is made again by the statement that made it."""
        again = type(value).__module__.partition(".")[0] in _MADE_AGAIN or isinstance(value, (type, types.FunctionType))
        if said is not None and again:
            self._uses(said.node, invocation)
            self._pieces.append(ast.unparse(said.node))
            return
        kind = type(value).__module__.partition(".")[0] + "." + type(value).__qualname__ if type(value).__module__ != "builtins" else type(value).__name__
        if isinstance(value, (types.FunctionType, type)) or hasattr(value, "definition"):
            self.problems.append(
                f"Step '{invocation}' uses '{name}', which was typed in, and this session does not remember its text. "
                f"Write it in a file, or use IPython or a notebook."
            )
        else:
            self.problems.append(
                f"Step '{invocation}' uses '{name}', a value of type {kind} that this session made and no other process can have. Give it to the "
                f"step as an input, or make it inside the step."
            )


def _definition_of(value: Any) -> Said | None:
    """Where the text that a live function or class was made from stands."""
    function = _function_of(value)
    if function is None:
        return None
    text = "".join(linecache.getlines(function.__code__.co_filename))
    line = function.__code__.co_firstlineno
    for node in _statements(_parsed(text)):
        wanted = isinstance(node, ast.ClassDef) if isinstance(value, type) else isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        name = value.__name__ if isinstance(value, type) else function.__code__.co_name
        if wanted and getattr(node, "name", "") == name and line_of(node) <= line <= (node.end_lineno or line):
            return Said(node, text, 0)
    return None


def _function_of(value: Any) -> types.FunctionType | None:
    """The function that stands in the text: of a step, under decorators, or a class's method; None for what is not the session's."""
    if isinstance(value, type):
        own = value.__module__ == "__main__"
        methods = [item for item in vars(value).values() if isinstance(item, types.FunctionType) and not item.__code__.co_filename.startswith("<string")]
        return methods[0] if own and methods else None
    definition = getattr(value, "definition", None)
    found = getattr(definition, "function", value)
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found if isinstance(found, types.FunctionType) and found.__module__ == "__main__" else None


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Those that run when the cell does, also the inner ones of compound statements."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)) and not isinstance(node, DEFINITIONS):
            yield from _statements(node)


def _bound_by(node: ast.stmt) -> Iterable[str]:
    if isinstance(node, DEFINITIONS):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []
    return [found.id for target in targets for found in ast.walk(target) if isinstance(found, ast.Name)]


def _used_by(node: ast.AST) -> set[str]:
    """Names that are not the piece's own, those in annotations that are text included."""
    nodes = [node, *(tree for text in _textual_annotations(node) for tree in [_parsed(text)])]
    found = references(nodes, bare=False)
    return {chain[0] for imported, chain in (*found.used, *found.called, *found.changed) if imported is None and chain}


def _textual_annotations(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        for annotation in (getattr(inner, "annotation", None), getattr(inner, "returns", None)):
            if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
                yield annotation.value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return type(value) in (str, int, bool, float, type(None))
