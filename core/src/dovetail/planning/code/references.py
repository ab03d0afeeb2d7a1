"""Which names of its module, and which imports, a piece of syntax refers to; names that are its own do not count.

A reference is an import (of the piece's own, inside a function) or None, and the attribute chain from there on:
`helpers.sub.f()` refers to `(None, ("helpers", "sub", "f"))`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from dovetail.planning.code.chains import Chain, chain_of, changed_by, mutated_by_call

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Import(NamedTuple):
    """`from <level dots><module> import <attr>`, or `import <module>` where `attr` is None."""

    module: str
    level: int = 0
    attr: str | None = None


class Literal(NamedTuple):
    """The first argument of a call, and for relative imports the package: None for not given, "" for the caller's own."""

    name: str
    package: str | None


Reference: TypeAlias = "tuple[Import | None, Chain]"


class References(NamedTuple):
    """`used`: read or called. `called`: only called, with these literal first arguments. `changed`: rebound or changed in
    place when the code runs, as opposed to when its module is imported."""

    used: frozenset[Reference]
    called: dict[Reference, frozenset[Literal]]
    changed: frozenset[Reference]


class _Scope:
    """`kind`: module, function, class, comprehension or types. `outside`, `enclosing`: names declared global, nonlocal."""

    __slots__ = ("bound", "enclosing", "imports", "kind", "outside", "parent")

    def __init__(self, parent: _Scope | None, kind: str) -> None:
        self.parent = parent
        self.kind = kind
        self.bound: set[str] = set()
        self.imports: dict[str, list[Import]] = {}
        self.outside: set[str] = set()
        self.enclosing: set[str] = set()

    @property
    def runs_later(self) -> bool:
        scope: _Scope | None = self
        while scope is not None and scope.kind != "function":
            scope = scope.parent
        return scope is not None

    def owner(self, name: str) -> _Scope | None:
        """The scope that binds a name as seen from here; None when it is the module's, or stands further out."""
        scope: _Scope | None = self
        while scope is not None and name not in scope.outside:
            visible = scope is self or scope.kind != "class"
            if visible and scope.kind != "module" and name in scope.bound and name not in scope.enclosing:
                return scope
            scope = scope.parent
        return None


def references(nodes: Iterable[ast.AST], bare: bool = True) -> References:
    """What these nodes refer to, as they stand at the top of a module. `bare`: leave their own decorators out."""
    survey = _Survey()
    module = _Scope(None, "module")
    for node in nodes:
        survey.visit(node, module, bare)
    survey.run()
    return survey.result()


def imports_of(node: ast.Import | ast.ImportFrom) -> Iterable[tuple[str, Import]]:
    """Each name that the statement binds, `*` included."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, Import(node.module or "", node.level, alias.name)
        elif alias.asname:
            yield alias.asname, Import(alias.name)
        else:
            yield alias.name.partition(".")[0], Import(alias.name.partition(".")[0])


class _Survey:
    """One pass over the syntax that notes scopes and uses; names are looked up when all of it was seen."""

    def __init__(self) -> None:
        self._todo: list[tuple[ast.AST, _Scope]] = []
        self._uses: list[tuple[_Scope, Chain, Literal | None]] = []
        self._changes: list[tuple[_Scope, Chain]] = []
        self._imported: list[tuple[_Scope, str, Import]] = []

    def run(self) -> None:
        while self._todo:
            self.visit(*self._todo.pop())

    def visit(self, node: ast.AST, scope: _Scope, bare: bool = False) -> None:
        visitor = _VISITORS.get(node.__class__)
        if visitor is None:
            self._children(node, scope)
        elif visitor is _Survey._function or visitor is _Survey._class:
            visitor(self, node, scope, bare)
        else:
            visitor(self, node, scope)

    def result(self) -> References:
        used: set[Reference] = set()
        called: dict[Reference, set[Literal]] = {}
        read: set[tuple[int, str]] = set()
        for scope, chain, literal in self._uses:
            owner = scope.owner(chain[0])
            if owner is not None:
                read.add((id(owner), chain[0]))
            for reference in _found(owner, chain):
                if literal is None:
                    used.add(reference)
                else:
                    called.setdefault(reference, set()).add(literal)
        changed = {ref for scope, chain in self._changes if scope.runs_later for ref in _found(scope.owner(chain[0]), chain)}
        # An import that nothing reads is made for what importing does.
        used.update((item, ()) for scope, name, item in self._imported if (id(scope), name) not in read)
        return References(frozenset(used), {ref: frozenset(found) for ref, found in called.items()}, frozenset(changed))

    def _children(self, node: ast.AST, scope: _Scope) -> None:
        self._todo.extend((child, scope) for child in ast.iter_child_nodes(node))

    def _bind(self, name: str, scope: _Scope) -> None:
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        scope.bound.add(name)

    def _name(self, node: Any, scope: _Scope) -> None:
        if isinstance(node.ctx, ast.Load):
            self._uses.append((scope, (node.id,), None))
            return
        self._bind(node.id, scope)
        self._changes.append((scope, (node.id,)))

    def _attribute(self, node: Any, scope: _Scope) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node, scope)
        chain = chain_of(node)
        if chain is None:
            self._todo.append((node.value, scope))
        else:
            self._uses.append((scope, chain, None))

    def _subscript(self, node: Any, scope: _Scope) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node, scope)
        self._children(node, scope)

    def _change(self, target: ast.AST, scope: _Scope) -> None:
        chain = changed_by(target)
        if chain is not None:
            self._changes.append((scope, chain))

    def _call(self, node: Any, scope: _Scope) -> None:
        mutated = mutated_by_call(node)
        if mutated is not None:
            self._changes.append((scope, mutated))
        chain = chain_of(node.func)
        literal = _literal_of(node) if chain is not None else None
        if chain is not None and literal is not None:
            self._uses.append((scope, chain, literal))
        else:
            self._todo.append((node.func, scope))
        self._todo.extend((item, scope) for item in (*node.args, *node.keywords))

    def _function(self, node: Any, scope: _Scope, bare: bool = False) -> None:
        self._bind(node.name, scope)
        if not bare:
            self._todo.extend((decorator, scope) for decorator in node.decorator_list)
        outer = self._type_parameters(node, scope)
        if node.returns is not None:
            self._annotation(node.returns, outer)
        inner = self._arguments(node.args, outer)
        self._todo.extend((statement, inner) for statement in node.body)

    def _lambda(self, node: Any, scope: _Scope) -> None:
        self._todo.append((node.body, self._arguments(node.args, scope)))

    def _arguments(self, args: ast.arguments, outer: _Scope) -> _Scope:
        """The function's own scope, with its parameters; defaults and annotations belong to the scope around it."""
        inner = _Scope(outer, "function")
        given = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        for argument in given:
            if argument is not None:
                inner.bound.add(argument.arg)
                if argument.annotation is not None:
                    self._annotation(argument.annotation, outer)
        self._todo.extend((default, outer) for default in (*args.defaults, *args.kw_defaults) if default is not None)
        return inner

    def _class(self, node: Any, scope: _Scope, bare: bool = False) -> None:
        self._bind(node.name, scope)
        outer = self._type_parameters(node, scope)
        decorators = [] if bare else node.decorator_list
        self._todo.extend((item, scope) for item in decorators)
        self._todo.extend((item, outer) for item in (*node.bases, *node.keywords))
        inner = _Scope(outer, "class")
        self._todo.extend((statement, inner) for statement in node.body)

    def _type_parameters(self, node: Any, scope: _Scope) -> _Scope:
        parameters = getattr(node, "type_params", ())
        if not parameters:
            return scope
        inner = _Scope(scope, "types")
        inner.bound.update(parameter.name for parameter in parameters)
        self._todo.extend((parameter, inner) for parameter in parameters)
        return inner

    def _type_alias(self, node: Any, scope: _Scope) -> None:
        self._todo.append((node.name, scope))
        self._todo.append((node.value, self._type_parameters(node, scope)))

    def _comprehension(self, node: Any, scope: _Scope) -> None:
        inner = _Scope(scope, "comprehension")
        first = node.generators[0]
        self._todo.append((first.iter, scope))
        for generator in node.generators:
            inner.bound.update(item.id for item in ast.walk(generator.target) if isinstance(item, ast.Name))
            self._todo.extend((condition, inner) for condition in generator.ifs)
            if generator is not first:
                self._todo.append((generator.iter, inner))
        parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        self._todo.extend((part, inner) for part in parts)

    def _import(self, node: Any, scope: _Scope) -> None:
        for alias, (name, imported) in zip(node.names, imports_of(node), strict=True):
            scope.bound.add(name)
            scope.imports.setdefault(name, []).append(imported)
            if scope.runs_later:
                self._imported.append((scope, name, imported if imported.attr else Import(alias.name)))

    def _global(self, node: Any, scope: _Scope) -> None:
        scope.outside.update(node.names)

    def _nonlocal(self, node: Any, scope: _Scope) -> None:
        scope.enclosing.update(node.names)

    def _capture(self, node: Any, scope: _Scope) -> None:
        """`except … as name` and the names that patterns bind."""
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name is not None:
            self._bind(name, scope)
            self._changes.append((scope, (name,)))
        self._children(node, scope)

    def _annotated(self, node: Any, scope: _Scope) -> None:
        self._annotation(node.annotation, scope)
        self._todo.append((node.target, scope))
        if node.value is not None:
            self._todo.append((node.value, scope))

    def _annotation(self, node: ast.AST, scope: _Scope) -> None:
        """Like any expression, but strings are read as types, apart from those in `Literal` and beside `Annotated`'s type."""
        todo: list[ast.AST] = [node]
        while todo:
            item = todo.pop()
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                todo.extend(_parsed(item.value))
            elif isinstance(item, ast.Subscript):
                self._todo.append((item.value, scope))
                types, others = _type_arguments(item)
                todo.extend(types)
                self._todo.extend((other, scope) for other in others)
            elif isinstance(item, (ast.BinOp, ast.List, ast.Tuple)):
                todo.extend(child for child in ast.iter_child_nodes(item) if isinstance(child, ast.expr))
            else:
                self._todo.append((item, scope))


def _found(owner: _Scope | None, chain: Chain) -> list[Reference]:
    if owner is None:
        return [(None, chain)]
    return [(imported, chain[1:]) for imported in owner.imports.get(chain[0], ())]


def _literal_of(node: ast.Call) -> Literal | None:
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    first = node.args[0] if node.args else given.get("name")
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return None
    package = node.args[1] if len(node.args) == 2 else given.get("package")
    if isinstance(package, ast.Constant) and isinstance(package.value, str):
        return Literal(first.value, package.value)
    own = isinstance(package, ast.Name) and package.id in ("__package__", "__name__")
    return Literal(first.value, "" if own else None)


def _type_arguments(node: ast.Subscript) -> tuple[list[ast.expr], list[ast.expr]]:
    name = (chain_of(node.value) or ("",))[-1]
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return [], list(arguments)
    return (arguments[:1], arguments[1:]) if name == "Annotated" else (list(arguments), [])


def _parsed(text: str) -> list[ast.AST]:
    try:
        return [ast.parse(text, mode="eval").body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


_VISITORS: dict[type[ast.AST], Any] = {
    ast.Name: _Survey._name,
    ast.Attribute: _Survey._attribute,
    ast.Subscript: _Survey._subscript,
    ast.Call: _Survey._call,
    ast.FunctionDef: _Survey._function,
    ast.AsyncFunctionDef: _Survey._function,
    ast.ClassDef: _Survey._class,
    ast.Lambda: _Survey._lambda,
    ast.Import: _Survey._import,
    ast.ImportFrom: _Survey._import,
    ast.Global: _Survey._global,
    ast.Nonlocal: _Survey._nonlocal,
    ast.ExceptHandler: _Survey._capture,
    ast.MatchAs: _Survey._capture,
    ast.MatchStar: _Survey._capture,
    ast.MatchMapping: _Survey._capture,
    ast.AnnAssign: _Survey._annotated,
    **dict.fromkeys(_COMPREHENSIONS, _Survey._comprehension),
}
if hasattr(ast, "TypeAlias"):
    _VISITORS[ast.TypeAlias] = _Survey._type_alias
