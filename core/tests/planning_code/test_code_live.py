"""What exists in this process only: closures, registries, partials, methods, lambdas, names that a step changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from dovetail.planning.code import CodeIdentity, CodeReader
from dovetail.values.project import Project

Identify = Callable[..., CodeIdentity]


def again(project: Project, function: Any) -> CodeIdentity:
    """As the next planning session sees it."""
    return CodeReader(project).identify(function)


MAKE = "def make(n):\n    def inner():\n        return n\n    return inner\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "2"),
        ("1", "'1'"),
        ("1", "True"),
        ("(1,)", "[1]"),
        ("{1, 2}", "{1, 3}"),
        ("b'a'", "b'b'"),
        ("None", "0"),
        ("float('nan')", "float('inf')"),
    ],
)
def test_a_closure_counts_by_its_value(identify: Identify, first: str, second: str) -> None:
    assert (
        identify({"flow.py": f"{MAKE}f = make({first})\n"}).digest != identify({"flow.py": f"{MAKE}f = make({second})\n"}).digest
    )


def test_an_enclosing_function_is_no_part_of_a_closure(identify: Identify) -> None:
    assert (
        identify({"flow.py": f"{MAKE}f = make(1)\n"}).parts
        == identify({"flow.py": f"{MAKE}f = make(1)\n".replace("(n):", "(n, m=2):")}).parts
    )


def test_a_function_in_a_closure_counts_with_its_own_closure(identify: Identify) -> None:
    source = f"{MAKE}def outer(g):\n    def f():\n        return g()\n    return f\nf = outer(make(1))\n"
    assert identify({"flow.py": source}).digest != identify({"flow.py": source.replace("make(1)", "make(2)")}).digest
    assert identify({"flow.py": source}).digest != identify({"flow.py": source.replace("return n", "return -n")}).digest


def test_two_closures_that_know_each_other_have_different_keys(identify: Identify) -> None:
    files = {
        "flow.py": "def make(n):\n    def inner():\n        return n, len(ALL)\n    return inner\nALL = [make(1), make(2)]\nf, g = ALL\n"
    }
    assert identify(files, "flow:f").digest != identify(files, "flow:g").digest


def test_which_closure_has_which_name_counts(identify: Identify) -> None:
    source = f"{MAKE}def outer(members):\n    def f(name):\n        return members[name]()\n    return f\nf = outer({{'a': make(1), 'b': make(2)}})\n"
    swapped = source.replace("'a'", "'c'").replace("'b'", "'a'").replace("'c'", "'b'")
    assert identify({"flow.py": source}).digest != identify({"flow.py": swapped}).digest


@pytest.mark.parametrize(
    "value",
    [
        "A()",
        "A",
        "[A()]",
        "{'a': A}",
        "A().m",
        "A.m",
        "functools.partial(A)",
        "functools.partial(A.m, 1)",
        "functools.lru_cache(A.m)",
    ],
)
def test_a_project_class_in_a_closure_counts(identify: Identify, value: str) -> None:
    source = f"import functools\nclass A:\n    def m(self):\n        return 1\n{MAKE}f = make({value})\n"
    first, second = identify({"flow.py": source}), identify({"flow.py": source.replace("return 1", "return 2")})
    assert first.digest != second.digest
    assert first.uncacheable is None


@pytest.mark.parametrize("edit", [("Int(1)", "Int(2)"), ("{'a': 1}", "{'a': 2}"), ("[5]", "[6]"), ("float64(1)", "float64(2)")])
def test_an_object_in_a_closure_counts_with_what_its_base_holds(identify: Identify, edit: tuple[str, str]) -> None:
    pytest.importorskip("numpy")
    source = (
        "import collections, numpy\nclass Int(int): pass\nclass Map(dict): pass\nclass List(list): pass\n"
        f"{MAKE}f = make([Int(1), Map({{'a': 1}}), List([5]), numpy.float64(1)])\n"
    )
    assert identify({"flow.py": source}).digest != identify({"flow.py": source.replace(*edit)}).digest


def test_an_object_in_a_closure_counts_with_its_state(identify: Identify) -> None:
    source = f"class A:\n    __slots__ = ('n', '__dict__')\n    def __init__(self, n, m):\n        self.n = n\n        self.m = m\n{MAKE}f = make(A(1, 2))\n"
    digests = {identify({"flow.py": source.replace("A(1, 2)", given)}).digest for given in ("A(1, 2)", "A(3, 2)", "A(1, 3)")}
    assert len(digests) == 3


def test_a_class_that_a_function_makes_counts_with_what_it_closes_over(identify: Identify) -> None:
    source = "def make(n):\n    class A:\n        def m(self):\n            return n\n    def inner():\n        return A().m()\n    return inner\nf = make(1)\n"
    first = identify({"flow.py": source})
    assert first.digest != identify({"flow.py": source.replace("make(1)", "make(2)")}).digest
    assert first.digest != identify({"flow.py": source.replace("return n", "return -n")}).digest


def test_a_module_that_the_enclosing_function_imports_counts_as_far_as_it_is_used(identify: Identify) -> None:
    files = {
        "flow.py": "def make():\n    import helpers\n    def inner():\n        return helpers.a()\n    return inner\nf = make()\n",
        "helpers.py": "def a():\n    return 1\ndef b():\n    return 2\n",
    }
    first = identify(files)
    assert first.parts == identify({**files, "helpers.py": files["helpers.py"].replace("2", "3")}).parts
    assert first.digest != identify({**files, "helpers.py": files["helpers.py"].replace("1", "3")}).digest


@pytest.mark.parametrize(
    "value", ["threading.Lock()", "io.BytesIO()", "[io.BytesIO()]", "{'a': (1, object())}", "iter([])", "A(io.BytesIO())"]
)
def test_a_closure_that_cannot_be_counted_is_not_cached_and_says_what_to_do(identify: Identify, value: str) -> None:
    found = identify(
        {"flow.py": f"import io, threading\nclass A:\n    def __init__(self, x):\n        self.x = x\n{MAKE}f = make({value})\n"}
    )
    assert found.uncacheable is not None
    assert "closes over 'n'" in found.uncacheable
    assert "cache_key=" in found.uncacheable
    assert "0x" not in found.uncacheable


@pytest.mark.parametrize(
    "value",
    [
        "re.compile('a', re.I)",
        "logging.getLogger('a')",
        "range(3)",
        "list[int]",
        "int",
        "len",
        "math.sin",
        "str.upper",
        "math",
        "typing.List[int]",
        "datetime.date(2020, 1, 1)",
        "pathlib.Path('x')",
        "decimal.Decimal('1')",
        "...",
        "functools.partial(print, end='')",
        "collections.Counter('aab')",
        "collections.deque([1])",
        "types.MappingProxyType({1: 2})",
        "json.dumps",
        "int | None",
        "[].append",
        "Base(3)",
        "Own({1: 2})",
        "collections.UserList",
        "http.HTTPStatus.OK",
        "signal.SIGINT",
        "string.Formatter.format",
        "property(len)",
        "numpy.float64(3)",
        "numpy.sin",
    ],
)
def test_what_can_be_counted_in_a_closure_is(identify: Identify, value: str) -> None:
    pytest.importorskip("numpy")
    names = (
        "collections, datetime, decimal, functools, http, json, logging, math, numpy, pathlib, re, signal, string, types, typing"
    )
    source = f"import {names}\nclass Base(int): pass\nclass Own(dict): pass\n{MAKE}f = make({value})\n"
    first, second = identify({"flow.py": source}), identify({"flow.py": source})
    assert (first.uncacheable, first.digest) == (None, second.digest)
    assert first.digest != identify({"flow.py": source.replace(f"make({value})", "make('another')")}).digest


def test_a_value_that_holds_itself_is_described_to_the_end(identify: Identify) -> None:
    source = f"{MAKE}X = [1]\nX.append(X)\nf = make(X)\n"
    first = identify({"flow.py": source})
    assert first.digest == identify({"flow.py": source}).digest
    assert first.digest != identify({"flow.py": source.replace("[1]", "[2]")}).digest


def test_functions_in_a_set_give_one_key_however_the_set_is_ordered(identify: Identify) -> None:
    source = f"{MAKE}f = make({{make(1), make(2), make(3), make('a')}})\n"
    assert len({identify({"flow.py": source}).digest for _ in range(5)}) == 1


COUNTERS = [
    "CALLS.append(1)",
    "CALLS[0] = CALLS[0] + 1",
    "CALLS[0] += 1",
    "CALLS.extend([1])",
    "CALLS.insert(0, len(CALLS))",
    "CALLS[:] = [len(CALLS)] * (len(CALLS) + 1)",
    "global CALLS; CALLS = [*CALLS, 1]",
    "global CALLS; CALLS += [1]",
    "import heapq; heapq.heappush(CALLS, 1)",
    "import counter; counter.ALL['n'] = counter.ALL.get('n', 0) + 1",
    "import counter; counter.ALL.setdefault('n', []).append(1)",
    "import counter as c; c.TOTAL += 1",
    "import counter; counter.box.n += 1",
    "import counter; counter.tick()",
    "from counter import ALL; ALL.update({len(ALL): 1})",
]


@pytest.mark.parametrize("statement", COUNTERS)
def test_what_a_step_changes_itself_does_not_run_it_again(projects: Any, statement: str) -> None:
    files = {
        "flow.py": f"import counter\nCALLS = [0]\ndef f():\n    {statement}\n",
        "counter.py": "ALL = {}\nTOTAL = 0\nclass Box:\n    n = 0\nbox = Box()\ndef tick():\n    global TOTAL\n    TOTAL = TOTAL + 1\n",
    }
    project, function = projects.load(files)
    before = [
        sys.modules["flow"].CALLS[:],
        dict(sys.modules["counter"].ALL),
        sys.modules["counter"].TOTAL,
        sys.modules["counter"].box.n,
    ]
    first = again(project, function)
    function()
    assert [
        sys.modules["flow"].CALLS,
        sys.modules["counter"].ALL,
        sys.modules["counter"].TOTAL,
        sys.modules["counter"].box.n,
    ] != before
    assert again(project, function).parts == first.parts


def test_what_a_helper_changes_does_not_run_the_step_again(projects: Any) -> None:
    files = {
        "flow.py": "import counter\nCALLS = counter.CALLS\ndef f():\n    return counter.tick(), counter.CALLS\n",
        "counter.py": "CALLS = []\ndef tick():\n    CALLS.append(1)\n",
    }
    project, function = projects.load(files)
    first = again(project, function)
    function()
    assert again(project, function).parts == first.parts


def test_a_counter_in_a_closure_does_not_run_the_step_again(projects: Any) -> None:
    source = "def make():\n    n = 0\n    seen = []\n    def inner():\n        nonlocal n\n        n += 1\n        seen.append(n)\n        return n\n    return inner\nf = make()\n"
    project, function = projects.load({"flow.py": source})
    first = again(project, function)
    function()
    assert again(project, function).parts == first.parts


def test_a_memo_that_a_decorator_keeps_does_not_run_the_step_again(projects: Any) -> None:
    source = (
        "import functools\ndef memo(g):\n    known = {}\n    @functools.wraps(g)\n    def w(x):\n        if x not in known:\n            known[x] = g(x)\n"
        "        return known[x]\n    return w\n@memo\ndef f(x):\n    return x\n"
    )
    project, function = projects.load({"flow.py": source})
    first = again(project, function)
    function(3)
    assert again(project, function).parts == first.parts
    assert first.uncacheable is None


def test_a_default_that_is_the_functions_memory_does_not_run_the_step_again(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def f(x, known=dict()):\n    known[x] = 1\n    return known\n"})
    first = again(project, function)
    function(3)
    assert again(project, function).parts == first.parts


def test_the_assignment_of_a_counter_counts(identify: Identify) -> None:
    source = "CALLS = [1]\ndef f():\n    CALLS.append(1)\n"
    assert identify({"flow.py": source}).digest != identify({"flow.py": source.replace("[1]", "[2]")}).digest


def test_a_constant_counts_as_it_is_now(projects: Any) -> None:
    project, function = projects.load(
        {"flow.py": "import conf\ndef f():\n    return conf.N, conf.D\n", "conf.py": "N = 1\nD = {'a': [1]}\n"}
    )
    reads = [again(project, function).digest]
    sys.modules["conf"].N = 2
    reads.append(again(project, function).digest)
    sys.modules["conf"].D["a"].append(2)
    reads.append(again(project, function).digest)
    assert len(set(reads)) == 3


def test_a_constant_that_was_imported_counts_as_its_importer_has_it(projects: Any) -> None:
    project, function = projects.load({"flow.py": "from conf import N\ndef f():\n    return N\n", "conf.py": "N = 1\n"})
    first = again(project, function).digest
    sys.modules["flow"].N = 2
    assert again(project, function).digest != first


def test_a_function_that_was_replaced_counts_as_its_replacement(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def g():\n    return 1\ndef h():\n    return 2\ndef f():\n    return g()\n"})
    first = again(project, function).digest
    sys.modules["flow"].g = sys.modules["flow"].h
    assert again(project, function).digest != first


def test_a_default_that_was_computed_counts_by_value(projects: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"flow.py": "import os\ndef g(x=os.environ['CODE_TEST']):\n    return x\ndef f():\n    return g()\n"}
    digests = set()
    for value in ("1", "2"):
        monkeypatch.setenv("CODE_TEST", value)
        project, function = projects.load(files)
        digests.add(again(project, function).digest)
    assert len(digests) == 2


def test_a_step_used_as_a_plain_function_counts_without_its_decorator(identify: Identify) -> None:
    source = "from dovetail import step\n@step(name='x')\ndef g():\n    return 1\n@step\ndef f():\n    return g()\n"
    first = identify({"flow.py": source})
    assert first.digest != identify({"flow.py": source.replace("return 1", "return 2")}).digest
    assert first.parts == identify({"flow.py": source.replace("name='x'", "name='y'")}).parts
    assert first.parts["entry"] == "flow:f"


def test_a_step_object_in_a_closure_counts_as_its_function(identify: Identify) -> None:
    source = f"from dovetail import step\n@step(name='x')\ndef g():\n    return 1\n{MAKE}f = make(g)\n"
    first = identify({"flow.py": source})
    assert first.uncacheable is None
    assert first.digest != identify({"flow.py": source.replace("return 1", "return 2")}).digest
    assert first.parts == identify({"flow.py": source.replace("name='x'", "name='y'")}).parts


def test_a_decorator_that_holds_a_lock_leaves_its_function_cacheable(identify: Identify) -> None:
    source = (
        "import functools, threading\ndef locked(g):\n    lock = threading.Lock()\n    @functools.wraps(g)\n    def w():\n        with lock:\n"
        "            return g()\n    return w\n@locked\ndef f():\n    return 1\n"
    )
    found = identify({"flow.py": source})
    assert found.uncacheable is None
    assert found.digest != identify({"flow.py": source.replace("return 1", "return 2")}).digest


def test_a_foreign_decorator_leads_to_the_function_it_was_given(identify: Identify) -> None:
    source = "from contextlib import contextmanager\n@contextmanager\ndef f():\n    yield 1\n"
    assert identify({"flow.py": source}).digest != identify({"flow.py": source.replace("yield 1", "yield 2")}).digest


@pytest.mark.parametrize("step", ["PARTIAL", "BOUND", "CALLABLE", "LAMBDA", "CLASS", "CACHED"])
def test_every_kind_of_callable_leads_to_its_code(identify: Identify, step: str) -> None:
    source = (
        "import functools\nclass A:\n    def __call__(self):\n        return g()\n    m = __call__\ndef g(x=0):\n    return 1\n"
        "PARTIAL = functools.partial(g, 3)\nBOUND = A().m\nCALLABLE = A()\nLAMBDA = lambda: g()\nCLASS = A\nCACHED = functools.lru_cache(g)\n"
    )
    first = identify({"flow.py": source}, f"flow:{step}")
    assert first.digest == identify({"flow.py": source}, f"flow:{step}").digest
    assert first.digest != identify({"flow.py": source.replace("return 1", "return 2")}, f"flow:{step}").digest


def test_a_partials_arguments_count(identify: Identify) -> None:
    source = "import functools\ndef g(x, y=0):\n    return 1\nf = functools.partial(g, 3, y=4)\n"
    digests = {
        identify({"flow.py": source.replace(old, new)}).digest
        for old, new in (("", ""), ("g, 3", "g, 5"), ("y=4", "y=5"), ("y=4", "y='4'"))
    }
    assert len(digests) == 4


def test_lambdas_on_one_line_have_different_keys(identify: Identify) -> None:
    files = {"flow.py": "ALL = [lambda: 1, lambda: 2, lambda x: 1]\n"}
    digests = {identify(files, f"flow:ALL.{number}").digest for number in range(3)}
    assert len(digests) == 3


def test_a_lambdas_default_counts_by_value(identify: Identify) -> None:
    files = {"flow.py": "ALL = [lambda n=n: n for n in range(3)]\n"}
    assert len({identify(files, f"flow:ALL.{number}").digest for number in range(3)}) == 3


def test_a_foreign_function_counts_by_its_name_and_package(identify: Identify) -> None:
    import pytest as package

    found = identify({"flow.py": "import pytest\nf = pytest.raises\ng = len\n"})
    assert found.packages == {"pytest": package.__version__}
    assert found.files == ()
    assert found.digest != identify({"flow.py": "f = len\n"}).digest


def test_a_function_that_was_executed_from_text_counts_by_its_bytecode(projects: Any) -> None:
    project, _ = projects.load({"flow.py": "def f(): pass\n", "helpers.py": "def g():\n    return 1\n"})
    source = (
        "import helpers\nN = 1\ndef h(x):\n    return x\ndef f(x):\n    'doc'\n    # comment\n    return h(x) + N + helpers.g()\n"
    )

    def digest(text: str) -> str:
        namespace: dict[str, Any] = {"__name__": "typed"}
        exec(compile(text, "<typed>", "exec"), namespace)
        found = again(project, namespace["f"])
        assert found.uncacheable is None
        return found.digest

    first = digest(source)
    assert first == digest(source.replace("# comment", "# another").replace("'doc'", "'documentation'"))
    for old, new in (("h(x) +", "h(x) -"), ("N = 1", "N = 2"), ("return x\n", "return -x\n"), ("return h(x)", "return h(0)")):
        assert digest(source.replace(old, new)) != first


def test_a_function_executed_from_text_reaches_the_projects_modules(projects: Any) -> None:
    digests = []
    for value in (1, 2):
        project, _ = projects.load({"flow.py": "def f(): pass\n", "helpers.py": f"def g():\n    return {value}\n"})
        namespace: dict[str, Any] = {}
        exec("import helpers\ndef f():\n    from helpers import g\n    return helpers.g(), g\n", namespace)
        digests.append(again(project, namespace["f"]).digest)
    assert digests[0] != digests[1]


def test_a_counter_of_a_function_executed_from_text_does_not_run_it_again(projects: Any) -> None:
    project, _ = projects.load({"flow.py": "def f(): pass\n"})
    namespace: dict[str, Any] = {}
    exec("CALLS = []\ndef f():\n    CALLS.append(1)\n", namespace)
    first = again(project, namespace["f"])
    namespace["f"]()
    assert again(project, namespace["f"]).parts == first.parts


def test_an_imported_number_that_its_module_counts_up_does_not_run_the_step_again(projects: Any) -> None:
    files = {
        "flow.py": "from counter import N, tick\ndef f():\n    tick()\n    return N\n",
        "counter.py": "N = 0\ndef tick():\n    global N\n    N += 1\n",
    }
    project, function = projects.load(files)
    first = again(project, function)
    function()
    assert again(project, function).parts == first.parts


def test_a_foreign_function_that_was_replaced_counts_as_its_replacement(projects: Any) -> None:
    project, function = projects.load({"flow.py": "from json import dumps\ndef f():\n    return dumps(1)\n"})
    first = again(project, function).digest
    sys.modules["flow"].dumps = lambda value: "fake"
    assert again(project, function).digest != first


def test_a_function_executed_from_text_counts_the_packages_it_uses(projects: Any) -> None:
    project, _ = projects.load({"flow.py": "def f(): pass\n"})
    namespace: dict[str, Any] = {}
    exec(
        "import pytest\nfrom yaml import safe_load\ndef f():\n    import blake3\n    return pytest.raises, safe_load\n", namespace
    )
    assert set(again(project, namespace["f"]).packages) == {"pytest", "pyyaml", "blake3"}


def test_a_function_executed_from_text_that_imports_by_name_is_not_cached(projects: Any) -> None:
    project, _ = projects.load({"flow.py": "def f(): pass\n"})
    namespace: dict[str, Any] = {}
    exec("import importlib\ndef f(name):\n    return importlib.import_module(name)\n", namespace)
    assert "give the step cache_key=" in str(again(project, namespace["f"]).uncacheable)


def test_a_function_executed_from_text_counts_its_constants_and_inner_functions(projects: Any) -> None:
    project, _ = projects.load({"flow.py": "def f(): pass\n"})

    def digest(text: str) -> str:
        namespace: dict[str, Any] = {}
        exec(text, namespace)
        return again(project, namespace["f"]).digest

    source = "def f(x):\n    return x in {1, 2}, x in (3, 4), [lambda y: y + 1000 for _ in x], 0.5\n"
    assert digest(source) == digest(source)
    assert (
        len(
            {
                digest(source.replace(*edit))
                for edit in (("", ""), ("{1, 2}", "{1, 5}"), ("(3, 4)", "(3, 5)"), ("1000", "2000"), ("0.5", "0.25"))
            }
        )
        == 5
    )
