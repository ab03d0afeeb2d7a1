"""What stands at the top of a module: which statements bind each name, or change what it names while being imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from dovetail.planning.code.chains import Chain, chain_of, changed_by, mutated_by_call
from dovetail.planning.code.normal import normal_form, short
from dovetail.planning.code.references import Import, References, imports_of, references

Definition: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NEW_SCOPES = (*DEFINITIONS, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Unit:
    """A statement, or a part of one, with the conditions that it stands under. Analysed when first asked."""

    __slots__ = ("_decorators", "_digest", "_references", "conditions", "nodes")

    def __init__(self, nodes: tuple[ast.AST, ...], conditions: tuple[ast.AST, ...] = ()) -> None:
        self.nodes = nodes
        self.conditions = conditions
        self._decorators: list[Unit] | None = None
        self._digest: str | None = None
        self._references: References | None = None

    @property
    def digest(self) -> str:
        if self._digest is None:
            self._digest = short(normal_form((*self.nodes, *self.conditions)))
        return self._digest

    @property
    def references(self) -> References:
        if self._references is None:
            self._references = references((*self.nodes, *self.conditions))
        return self._references

    @property
    def decorators(self) -> list[Unit]:
        """The decorators, which count apart from what they decorate."""
        if self._decorators is None:
            self._decorators = [Unit((item,)) for item in getattr(self.nodes[0], "decorator_list", ())]
        return self._decorators

    def has_computed_defaults(self) -> bool:
        args: ast.arguments | None = getattr(self.nodes[0], "args", None)
        if args is None:
            return False
        return any(not isinstance(item, ast.Constant) for item in (*args.defaults, *args.kw_defaults) if item is not None)


class BoundImport(NamedTuple):
    """`typing_only`: it stands under `if TYPE_CHECKING` and is not made when the module is imported."""

    imported: Import
    typing_only: bool


class Binding:
    """Everything that decides what one top-level name is."""

    __slots__ = ("assignments", "changes", "definitions", "imports")

    def __init__(self) -> None:
        self.definitions: list[Unit] = []
        self.assignments: list[Unit] = []
        self.changes: list[Unit] = []
        self.imports: list[BoundImport] = []

    @property
    def units(self) -> list[Unit]:
        return [*self.definitions, *self.assignments, *self.changes]

    def literal(self) -> list[Any]:
        """The value, as the only member, where the source says it in full."""
        if len(self.assignments) != 1 or self.definitions or self.changes or self.imports or self.assignments[0].conditions:
            return []
        statement = self.assignments[0].nodes[0]
        plain = isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets)
        if not plain and not isinstance(statement, ast.AnnAssign):
            return []
        try:
            return [ast.literal_eval(statement.value)]  # type: ignore[attr-defined]
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return []


class Top:
    """The names that a module binds, its star imports, and every import that importing it makes."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: dict[str, Binding] = {}
        self.stars: list[Import] = []
        self.imports: list[Import] = []
        for statement, conditions in _statements(tree):
            self._statement(statement, conditions)
        definitions = [unit for binding in self.names.values() for unit in binding.definitions]
        self._decorated = [(unit, chain) for unit in definitions for chain in _decorator_chains(unit)]
        self._attach_methods()

    def _binding(self, name: str) -> Binding:
        return self.names.setdefault(name, Binding())

    def _statement(self, node: ast.AST, conditions: tuple[ast.AST, ...]) -> None:
        if isinstance(node, DEFINITIONS):
            self._binding(node.name).definitions.append(Unit((node,), conditions))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node, any(_is_type_checking(condition) for condition in conditions))
        else:
            unit = Unit(_header(node), conditions)
            for name in _bound_by(unit.nodes):
                self._binding(name).assignments.append(unit)
            for chain in _changed_by_statement(node, unit.nodes):
                self._binding(chain[0]).changes.append(unit)

    def _import(self, node: ast.Import | ast.ImportFrom, typing_only: bool) -> None:
        for alias, (name, imported) in zip(node.names, imports_of(node), strict=True):
            if name == "*":
                self.stars.append(imported)
            else:
                self._binding(name).imports.append(BoundImport(imported, typing_only))
            if not typing_only:
                self.imports.append(imported if isinstance(node, ast.ImportFrom) else Import(alias.name))

    def registered(self, name: str) -> list[Unit]:
        """Definitions decorated by a function of this module that changes `name`. What they register shows in a loaded
        module's value; in one that is not loaded this says it."""
        found: list[Unit] = []
        for unit, chain in self._decorated:
            decorator = self.names.get(chain[0])
            if decorator is not None and len(chain) == 1 and any(_changes(each, name) for each in decorator.definitions):
                found.append(unit)
        return found

    def _attach_methods(self) -> None:
        """A definition under `@registry.register` counts with `registry`."""
        for unit, chain in self._decorated:
            decorator = self.names.get(chain[0])
            if decorator is not None and not decorator.imports and len(chain) > 1:
                decorator.changes.append(unit)


def _changes(unit: Unit, name: str) -> bool:
    return any(imported is None and chain[0] == name for imported, chain in unit.references.changed)


def _statements(tree: ast.Module) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    """Every statement that importing the module may run, in order, with the tests of the `if`s and loops around it."""
    todo: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(node, ()) for node in reversed(tree.body)]
    while todo:
        node, conditions = todo.pop()
        yield node, conditions
        if isinstance(node, DEFINITIONS):
            continue
        inner = (*conditions, *_condition(node))
        bodies: list[Any] = [getattr(node, name, None) or [] for name in ("body", "handlers", "cases", "orelse", "finalbody")]
        todo.extend((child, inner) for child in reversed([child for body in bodies if isinstance(body, list) for child in body]))


def _condition(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, (ast.If, ast.While)):
        return [node.test]
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return [node.iter]
    if isinstance(node, ast.Match):
        return [node.subject]
    return [node.pattern, *([node.guard] if node.guard else [])] if isinstance(node, ast.match_case) else []


def _header(node: ast.AST) -> tuple[ast.AST, ...]:
    """The parts of a compound statement that are not statements of their own; a simple statement whole."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return (node.target, node.iter)
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return tuple(node.items)
    if isinstance(node, (ast.If, ast.While, ast.Match, ast.match_case)):
        return tuple(_condition(node))
    if isinstance(node, ast.ExceptHandler):
        return (ast.Name(node.name, ast.Store()),) if node.name else ()
    return () if hasattr(node, "body") else (node,)


def _bound_by(nodes: Iterable[ast.AST]) -> list[str]:
    names: dict[str, None] = {}
    for node in _outside_functions(nodes):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names[node.id] = None
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            names[node.name] = None
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names[node.rest] = None
    declared = [node for node in nodes if isinstance(node, ast.AnnAssign) and node.value is None]
    return [] if declared else list(names)


def _changed_by_statement(statement: ast.AST, nodes: tuple[ast.AST, ...]) -> set[Chain]:
    found: set[Chain | None] = set()
    for node in _outside_functions(nodes):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            found.add(changed_by(node))
        elif isinstance(node, ast.Call):
            found.add(mutated_by_call(node))
    if (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
    ):
        found.add(changed_by(statement.value.func.value))  # a method called for its effect
    return {chain for chain in found if chain is not None}


def _outside_functions(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    todo = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _NEW_SCOPES):
            todo.extend(ast.iter_child_nodes(node))


def _decorator_chains(unit: Unit) -> Iterator[Chain]:
    for decorator in getattr(unit.nodes[0], "decorator_list", ()):
        chain = callee(decorator)
        if chain is not None:
            yield chain


def callee(node: ast.AST) -> Chain | None:
    """`a.b` for `a.b` and for `a.b(…)`."""
    while isinstance(node, ast.Call):
        node = node.func
    return chain_of(node)


def _is_type_checking(condition: ast.AST) -> bool:
    return (chain_of(condition) or ("",))[-1] == "TYPE_CHECKING"
