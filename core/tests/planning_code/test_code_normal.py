"""The normal form of source: the same for every layout, different for every difference that runs."""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import statistics
import string
import textwrap
import tokenize
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dovetail.planning.code.bindings import Top
from dovetail.planning.code.normal import normal_form
from dovetail.planning.code.references import Import, references

LIBRARY = [
    Path(module.__file__) for module in (contextlib, copy, io, statistics, string, textwrap, ast, tokenize) if module.__file__
]

names = st.sampled_from(["a", "b", "value", "é", "_x"])
constants = st.one_of(
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.floats(allow_nan=False, allow_infinity=False),
)
atoms = st.one_of(names, constants.map(repr).map(lambda text: f"({text})"))
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "and", "is", "<", "@"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(names, st.lists(inner, max_size=2)).map(lambda t: f"{t[0]}({', '.join(t[1])})"),
        st.tuples(names, inner).map(lambda t: f"{t[0]}.field[{t[1]}]"),
        inner.map(lambda item: f"(lambda a, b={item}: a)"),
        inner.map(lambda item: f"[a for a in {item} if a]"),
        names.map(lambda name: f"f'x{{{name}!r:>10}}y'"),
    ),
    max_leaves=8,
)


@st.composite
def statements(draw: st.DrawFn, depth: int = 0) -> list[str]:
    kind = draw(
        st.sampled_from(
            ["assign", "return", "expr", "import", "augment"] + (["if", "for", "try", "def", "class"] if depth < 2 else [])
        )
    )
    value = draw(expressions)
    simple = {
        "assign": [f"{draw(names)} = {value}"],
        "return": [f"return {value}"],
        "expr": [f"g({value})"],
        "import": [f"from m import {draw(names)} as {draw(names)}"],
        "augment": [f"{draw(names)} += {value}"],
    }
    if kind in simple:
        return simple[kind]
    body = [f"    {line}" for block in draw(st.lists(statements(depth + 1), min_size=1, max_size=3)) for line in block]
    heads = {
        "if": f"if {value}:",
        "for": f"for {draw(names)} in {value}:",
        "def": f"def {draw(names)}(a, *b, c={value}):",
        "try": "try:",
        "class": "class A:",
    }
    if kind == "class":
        body = [line.replace("return ", "x = ") for line in body]
    return [heads[kind], *body, *(["finally:", "    pass"] if kind == "try" else [])]


functions = st.lists(statements(), min_size=1, max_size=5).map(
    lambda blocks: "\n".join(["def f(a, b):", *(f"    {line}" for block in blocks for line in block)])
)


def normal(source: str) -> str:
    return normal_form([ast.parse(source)])


def commented(source: str, comments: list[str]) -> str:
    """The source with a comment after, and a blank line and a comment before, every line."""
    lines = source.splitlines()
    return "\n".join(
        f"\n# {comments[n % len(comments)]}\n{line}  # {comments[n % len(comments)]}" for n, line in enumerate(lines)
    )


comment_texts = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\f\x0b\x1c\x1d\x1e\x85\u2028\u2029\x00"), max_size=10),
    min_size=1,
    max_size=3,
)


@given(functions, comment_texts)
def test_layout_and_comments_never_change_the_normal_form(source: str, comments: list[str]) -> None:
    expected = normal(source)
    assert normal(ast.unparse(ast.parse(source))) == expected
    assert normal(commented(source, comments)) == expected


@given(functions, st.text(string.ascii_letters, max_size=10))
def test_a_docstring_never_changes_the_normal_form(source: str, text: str) -> None:
    head, _, body = source.partition("\n")
    assert normal(f"{head}\n    {text!r}\n{body}") == normal(source)


@given(functions, functions)
def test_functions_that_differ_as_syntax_have_different_normal_forms(first: str, second: str) -> None:
    trees = ast.parse(first), ast.parse(second)
    assume(ast.dump(trees[0]) != ast.dump(trees[1]))
    assert normal_form([trees[0]]) != normal_form([trees[1]])


@given(functions, st.randoms())
def test_changing_any_constant_or_name_changes_the_normal_form(source: str, random: object) -> None:
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.Constant, ast.Name, ast.Attribute, ast.arg, ast.keyword))]
    node = random.choice(found)  # type: ignore[attr-defined]
    before = normal_form([tree])
    if isinstance(node, ast.Constant):
        node.value = ("changed", node.value)
    elif isinstance(node, ast.Name):
        node.id += "_"
    elif isinstance(node, ast.Attribute):
        node.attr += "_"
    else:
        node.arg = f"{node.arg}_"
    assert normal_form([tree]) != before


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_a_library_module_laid_out_anew_has_the_same_normal_form(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert normal_form([ast.parse(ast.unparse(tree))]) == normal_form([tree])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "1.0"),
        ("1", "True"),
        ("'1'", "1"),
        ("'a'", "b'a'"),
        ("0.0", "-0.0"),
        ("[a, b]", "[[a], b]"),
        ("f(a, b)", "f((a, b))"),
        ("'a' 'b'", "'a', 'b'"),
        ("a.b", "a.c"),
    ],
)
def test_what_runs_differently_has_different_normal_forms(first: str, second: str) -> None:
    assert normal(f"x = {first}") != normal(f"x = {second}")


def test_an_integer_too_long_for_decimal_notation_has_a_normal_form() -> None:
    assert normal(f"x = 0x{'f' * 6000}") != normal(f"x = 0x{'f' * 6001}")


@given(functions)
def test_names_that_a_function_reads_from_its_module_are_those_that_the_compiler_takes_as_global(source: str) -> None:
    tree = ast.parse(source)
    try:
        code = compile(tree, "<source>", "exec")
    except SyntaxError:
        assume(False)
    globals_read = global_loads(code.co_consts[0])
    found = references(tree.body)
    roots = {chain[0] for imported, chain in (*found.used, *found.called) if imported is None}
    assert globals_read <= roots | {"__name__"}


def global_loads(code: object) -> set[str]:
    import dis
    import types

    assert isinstance(code, types.CodeType)
    names = {str(item.argval) for item in dis.get_instructions(code) if item.opname == "LOAD_GLOBAL"}
    return names.union(*(global_loads(item) for item in code.co_consts if isinstance(item, types.CodeType)))


def test_what_a_module_binds_is_found_in_every_kind_of_statement() -> None:
    source = """
import a, b.c, d as e
from f import g as h
i = j, (k, *l) = 1, (2, 3)
m: int = 1
n: int
for o, p in []: q = 1
while (r := 0): pass
with open(s) as t: pass
try: u = 1
except ValueError as v: w = 1
else: x = 1
finally: y = 1
def z(): hidden = 1
class A: hidden = 1
async def B(): pass
match i:
    case {'k': C, **D}: E = 1
    case [F, *G] if G: pass
[hidden for hidden in []]
lambda hidden: 1
del i
if 1: H = 1
elif 2: I = 1
"""
    expected = {*"abehijklmopqrtuvwxyzABCDEFGHI"}
    assert {name for name, binding in Top(ast.parse(source)).names.items() if binding.units or binding.imports} == expected


def test_references_tell_imports_of_the_function_from_names_of_the_module() -> None:
    found = references(
        ast.parse("def f(x):\n    from .m import y as z\n    import p.q\n    x.g()\n    z.h(1)\n    w.v\n    return p.q.r\n").body
    )
    assert found.used | found.called.keys() == {(Import("m", 1, "y"), ("h",)), (None, ("w", "v")), (Import("p"), ("q", "r"))}
