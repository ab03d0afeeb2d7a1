"""Project files, parsed once per process and looked at again before each use."""

from __future__ import annotations

import ast
import os
import time
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

from dovetail import digest
from dovetail.planning.code.bindings import DEFINITIONS, Top, Unit
from dovetail.planning.code.bytecode import compiled, is_compiled_from
from dovetail.planning.code.normal import normal_form
from dovetail.planning.code.references import Import, imports_of

_SETTLED = 2_000_000_000  # ns; a file this old cannot be written again with the same time stamp
_files: dict[str, SourceFile] = {}
_pinned: dict[str, bytes] = {}


class Piece(NamedTuple):
    """A function, lambda or class anywhere in a file. `qualname` is as Python spells it; `outermost` stands at the top."""

    unit: Unit
    qualname: str
    outermost: str | None

    @property
    def in_function(self) -> bool:
        return "<locals>" in self.qualname


class SourceFile:
    """One file as it was parsed. Where it is not readable Python, `tree` is None and its bytes count.

    `loaded`: the import that this content was seen with. `edited`: the file now says something else than that.
    """

    def __init__(self, path: str, data: bytes, loaded: object | None) -> None:
        self.path = path
        self.digest = digest.of_bytes(data)
        self.loaded = loaded
        self.edited = False
        self.stamp: tuple[int, ...] = ()
        self.settled = False
        self.tree = _parsed(data)
        self._top: Top | None = None
        self._pieces: dict[str, list[Piece]] | None = None
        self._packages: frozenset[str] | None = None
        self._codes: list[dict[tuple[str, int], list[CodeType]] | None] = []
        self._confirmed: dict[int, CodeType] = {}
        self._inner: dict[str, list[Import]] | None = None

    def normal_form(self) -> str:
        return normal_form([self.tree]) if self.tree else self.digest

    @property
    def top(self) -> Top:
        if self._top is None:
            self._top = Top(self.tree or ast.Module([], []))
        return self._top

    @property
    def imported(self) -> frozenset[str]:
        """Dotted names of everything imported from outside the file's own package, anywhere in it."""
        if self._packages is None:
            self._packages = frozenset(_absolute_imports(self.tree)) if self.tree else frozenset()
        return self._packages

    def gives(self, code: CodeType) -> bool:
        """Whether the file, compiled as it is here, gives this code; true where that cannot be told."""
        if id(code) in self._confirmed:
            return True
        if not self._codes:
            self._codes.append(compiled(self.tree) if self.tree else None)
        codes = self._codes[0]
        if codes is not None and not is_compiled_from(code, codes.get((code.co_name, code.co_firstlineno), ())):
            return False
        self._confirmed[id(code)] = code
        return True

    def imports_inside(self, name: str) -> list[Import]:
        """What a name stands for by any import in the file, inside functions too."""
        if self._inner is None:
            self._inner = {}
            for node in ast.walk(self.tree) if self.tree else ():
                for bound, imported in imports_of(node) if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
                    self._inner.setdefault(bound, []).append(imported)
        return self._inner.get(name, [])

    def pieces(self, name: str) -> list[Piece]:
        """All functions, lambdas (`<lambda>`) and classes of this name."""
        if self._pieces is None:
            self._pieces = {}
            for piece in _pieces(self.tree) if self.tree else ():
                self._pieces.setdefault(piece.qualname.rpartition(".")[2], []).append(piece)
        return self._pieces.get(name, [])


def source_file(path: str, loaded: object | None) -> SourceFile | None:
    """The parsed file, or None where there is none. `loaded` stands for one import of it: a reload gives another.

    What runs in this process is what was imported, so a file that is edited afterwards stays as it was parsed, marked
    as edited, until its module is imported anew.
    """
    known = _files.get(path)
    if path in _pinned:
        if known is None or known.digest != digest.of_bytes(_pinned[path]):
            known = _files[path] = SourceFile(path, _pinned[path], loaded)
        return known
    try:
        stamp = _stamp(os.stat(path))
        if known is not None and known.stamp == stamp and known.settled and not known.edited:
            known.loaded = loaded or known.loaded
            return known
        data = _read(path)
    except OSError:
        return None
    known = _compared(known, path, data, loaded)
    known.stamp = stamp
    known.settled = time.time_ns() - stamp[1] > _SETTLED
    _files[path] = known
    return known


def pin(path: str, data: bytes) -> None:
    """From now on take this for the file's content, as this process imports it in place of what stands there."""
    _pinned[path] = data


def is_pinned(path: str) -> bool:
    return path in _pinned


def content(path: str) -> bytes:
    """The file's content, or what is imported in its place. Raises OSError as `open` does."""
    return _pinned[path] if path in _pinned else _read(path)


def stamp(path: str) -> tuple[int, int]:
    """Changes when the content does."""
    if path in _pinned:
        return len(_pinned[path]), hash(_pinned[path])
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _compared(known: SourceFile | None, path: str, data: bytes, loaded: object | None) -> SourceFile:
    if known is None:
        return SourceFile(path, data, loaded)
    if digest.of_bytes(data) == known.digest:
        known.loaded, known.edited = loaded or known.loaded, False
        return known
    now = SourceFile(path, data, loaded)
    if loaded is None or known.loaded is not loaded:
        return now
    known.edited = now.normal_form() != known.normal_form()
    return known


def line_of(node: Any) -> int:
    """The first line as a code object has it: of the first decorator, where there is one."""
    decorators = getattr(node, "decorator_list", None)
    return int((decorators[0] if decorators else node).lineno)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _parsed(data: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():  # whatever Python says of this source it says to who imports it
            warnings.simplefilter("ignore")
            return ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _pieces(tree: ast.Module) -> Iterator[Piece]:
    todo: list[tuple[ast.AST, str, str | None]] = [(tree, "", None)]
    while todo:
        node, prefix, outermost = todo.pop()
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (*DEFINITIONS, ast.Lambda)):
                todo.append((child, prefix, outermost))
                continue
            name = "<lambda>" if isinstance(child, ast.Lambda) else child.name
            first = outermost or (None if isinstance(child, ast.Lambda) else name)
            yield Piece(Unit((child,)), prefix + name, outermost)
            inner = f"{prefix}{name}." if isinstance(child, ast.ClassDef) else f"{prefix}{name}.<locals>."
            todo.append((child, inner, first))


def _absolute_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            yield from _imported_by_call(node)


def _imported_by_call(node: ast.Call) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    literal = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
    if name in ("import_module", "__import__") and isinstance(literal, str) and not literal.startswith("."):
        yield literal
