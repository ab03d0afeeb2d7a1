"""Registries that classes and objects keep, steps outside the project, unusual callables and unusual syntax."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.planning.code import CodeIdentity, CodeReader
from dovetail.values.project import Project

Identify = Callable[..., CodeIdentity]

REGISTRIES = {
    "a class": {
        "reg.py": "class Base:\n    known = {}\n    def __init_subclass__(cls):\n        Base.known[cls.__name__] = cls\n",
        "plugins.py": "from reg import Base\nclass A(Base):\n    def m(self):\n        return 1\n",
        "flow.py": "import plugins\nfrom reg import Base\ndef f(name):\n    return Base.known[name]().m()\n",
    },
    "an object": {
        "reg.py": "class Registry:\n    def __init__(self):\n        self.known = {}\n    def add(self, g):\n        self.known[g.__name__] = g\n        return g\nREG = Registry()\n",
        "plugins.py": "from reg import REG\n@REG.add\ndef a():\n    return 1\n",
        "flow.py": "import plugins\nfrom reg import REG\ndef f(name):\n    return REG.known[name]()\n",
    },
    "a singledispatch function": {
        "reg.py": "import functools\n@functools.singledispatch\ndef g(x):\n    return 0\n",
        "plugins.py": "from reg import g\n@g.register\ndef _(x: int):\n    return 1\n",
        "flow.py": "import plugins\nfrom reg import g\ndef f(x):\n    return g(x)\n",
    },
    "a function": {
        "reg.py": "def g(name):\n    return g.known[name]()\ng.known = {}\n",
        "plugins.py": "from reg import g\ndef a():\n    return 1\ng.known['a'] = a\n",
        "flow.py": "import plugins\nfrom reg import g\ndef f(x):\n    return g(x)\n",
    },
}


@pytest.mark.parametrize("keeper", REGISTRIES)
def test_what_is_registered_from_another_module_counts(identify: Identify, keeper: str) -> None:
    files = REGISTRIES[keeper]
    assert identify(files).digest != identify({**files, "plugins.py": files["plugins.py"].replace("return 1", "return 2")}).digest


@pytest.mark.parametrize("keeper", REGISTRIES)
def test_a_registry_holds_no_more_than_what_was_registered(identify: Identify, keeper: str) -> None:
    files = {**REGISTRIES[keeper], "plugins.py": REGISTRIES[keeper]["plugins.py"] + "\n\n\ndef other():\n    return 5\n"}
    assert identify(files).parts == identify({**files, "plugins.py": files["plugins.py"].replace("return 5", "return 6")}).parts


def test_a_step_outside_the_project_counts_with_the_code_beside_it(projects: Any) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/flow.py": "from helpers import g\ndef f():\n    return g()\n",
        "helpers.py": "def g():\n    return 1\n",
    }
    found = []
    for edit in ("1", "1", "2"):
        project, function = projects.load({**files, "helpers.py": files["helpers.py"].replace("1", edit)}, "pkg.flow:f")
        elsewhere = project.root / "elsewhere"
        reader = CodeReader(Project(elsewhere, elsewhere, marked=True))
        found.append(reader.identify(function))
        assert [file.name for file in found[-1].files] == ["helpers.py", "__init__.py", "flow.py"]
        assert len(reader.imported_with(found[-1].files)) == 3
    assert found[0].parts == found[1].parts
    assert found[0].digest != found[2].digest


def test_a_script_that_is_run_by_its_path_counts_under_its_files_name(projects: Any) -> None:
    source = "N = 1\ndef g():\n    return N\ndef f():\n    return g()\n"
    project, function = projects.load({"flow.py": source})
    expected = CodeReader(project).identify(function).parts
    for name in (None, "__main__"):
        namespace = runpy.run_path(str(project.root / "flow.py"), run_name=name)
        assert CodeReader(project).identify(namespace["f"]).parts == expected


def test_a_decorator_imported_inside_a_function_is_known_as_dovetails(projects: Any) -> None:
    source = "def make():\n    from dovetail import step as s\n    @s(name='x')\n    def inner():\n        return 1\n    return inner\nf = make()\n"
    found = []
    for text in (source, source.replace("name='x'", "timeout=3")):
        project, function = projects.load({"flow.py": text})
        found.append(CodeReader(project).identify(function))
    assert found[0].parts == found[1].parts
    assert found[0].parts["entry"] == "flow:make.<locals>.inner"


def test_another_decorator_of_an_inner_function_counts(identify: Identify) -> None:
    source = "import functools\ndef deco(n):\n    return lambda g: g\ndef make():\n    @deco(1)\n    def inner():\n        return 1\n    return inner\nf = make()\n"
    first = identify({"flow.py": source})
    assert first.digest != identify({"flow.py": source.replace("deco(1)", "deco(2)")}).digest
    assert (
        first.digest != identify({"flow.py": source.replace("lambda g: g", "lambda g: (g)()").replace("(g)()", "g or n")}).digest
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is of Python 3.12")
def test_type_parameters_hide_names_and_aliases_are_followed(identify: Identify) -> None:
    source = "class B:\n    n = 1\nT = 1\ntype A[U] = list[U] | B\nclass C[T: B]:\n    x: T\ndef f[T](x: T) -> A[T]:\n    return C(x)\n"
    first = identify({"flow.py": source})
    assert first.uncacheable is None
    assert first.parts == identify({"flow.py": source.replace("T = 1", "T = 2")}).parts
    assert first.digest != identify({"flow.py": source.replace("n = 1", "n = 2")}).digest
    assert first.digest != identify({"flow.py": source.replace("list[U]", "set[U]")}).digest


def test_an_attribute_access_that_raises_does_not_stop_the_reading(identify: Identify) -> None:
    source = (
        "class Hostile:\n    def __getattribute__(self, name):\n        raise RuntimeError(name)\n    __class__ = property(lambda self: 1 / 0)\n"
        "X = Hostile()\ndef make(n):\n    def inner():\n        return n, X\n    return inner\nf = make(Hostile())\n"
    )
    assert "cache_key=" in str(identify({"flow.py": source}).uncacheable)


def test_a_value_too_deep_to_describe_is_not_cached(identify: Identify) -> None:
    source = "X = []\nfor _ in range(100_000):\n    X = [X]\ndef make(n):\n    def inner():\n        return n\n    return inner\nf = make(X)\ndef g():\n    return X\n"
    assert "a list" in str(identify({"flow.py": source}).uncacheable).replace("builtins:", "")
    assert identify({"flow.py": source}, "flow:g").uncacheable is None


def test_a_foreign_decorators_copy_of_a_name_does_not_say_main(projects: Any, show: str) -> None:
    source = "import contextlib\ndef make(g):\n    def inner():\n        return g\n    return inner\n@contextlib.contextmanager\ndef h():\n    yield 1\nf = make(h)\n"
    root = projects.write(
        {"flow.py": source + "if __name__ == '__main__':\n    from shower import _show\n    _show(f)\n", "shower.py": show}
    )
    assert projects.run(root, "", str(root / "flow.py")) == projects.run(root, "import flow; _show(flow.f)")


def test_a_class_that_was_executed_from_text_counts_with_its_methods_and_bases(projects: Any) -> None:
    project, _ = projects.load({"flow.py": "def f(): pass\n"})

    def digest(text: str) -> str:
        namespace: dict[str, Any] = {"__name__": "typed_in_here"}
        exec(text, namespace)
        return CodeReader(project).identify(namespace["A"]).digest

    source = "N = 1\nclass B:\n    def b(self):\n        return 1\nclass A(B):\n    def a(self):\n        return N\n"
    first = digest(source)
    assert first == digest(source)
    assert {
        digest(source.replace(*edit)) for edit in (("return 1", "return 2"), ("return N", "return -N"), ("N = 1", "N = 2"))
    }.isdisjoint({first})


def test_a_class_of_the_project_can_be_identified_itself(identify: Identify) -> None:
    source = "class A:\n    def m(self):\n        return 1\n    class Inner:\n        n = 1\n"
    assert identify({"flow.py": source}, "flow:A").parts.keys() == {"entry", "flow:A"}
    assert (
        identify({"flow.py": source}, "flow:A").digest
        != identify({"flow.py": source.replace("return 1", "return 2")}, "flow:A").digest
    )
    assert (
        identify({"flow.py": source}, "flow:A.Inner").digest
        != identify({"flow.py": source.replace("n = 1", "n = 2")}, "flow:A.Inner").digest
    )


def test_a_class_made_by_a_call_counts_by_the_call(identify: Identify) -> None:
    source = "import collections, enum\nPoint = collections.namedtuple('Point', 'x y')\nKind = enum.Enum('Kind', 'A B')\ndef f():\n    return Point(1, 2), Kind.A\n"
    first = identify({"flow.py": source})
    assert first.digest != identify({"flow.py": source.replace("'x y'", "'x z'")}).digest
    assert first.digest != identify({"flow.py": source.replace("'A B'", "'A C'")}).digest


def test_a_compiled_module_of_the_project_counts_by_its_bytes(identify: Identify, projects: Any) -> None:
    digests = []
    for content in (b"\x7fELF1", b"\x7fELF2"):
        project, function = projects.load({"flow.py": "def f():\n    import fast\n    return fast.g()\n"})
        import importlib.machinery

        (project.root / f"fast{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(content)
        digests.append(CodeReader(project).identify(function).digest)
    assert digests[0] != digests[1]


def test_what_is_set_on_a_module_from_elsewhere_counts_by_value(projects: Any) -> None:
    project, function = projects.load({"flow.py": "import conf\ndef f():\n    return conf.LATER, conf.FUNCTION\n", "conf.py": ""})
    digests = set()
    for value in (1, 2):
        sys.modules["conf"].LATER = value
        sys.modules["conf"].FUNCTION = len
        digests.add(CodeReader(project).identify(function).digest)
    assert len(digests) == 2


def test_a_module_whose_dictionary_is_read_counts_whole(identify: Identify) -> None:
    files = {
        "flow.py": "import helpers\ndef f(name):\n    return helpers.__dict__[name]\n",
        "helpers.py": "from deep import a as b\nfrom more import *\nimport json\nN = 1\n",
        "deep.py": "def a():\n    return 1\n",
        "more.py": "M = 1\n",
    }
    first = identify(files)
    for name in ("helpers.py", "deep.py", "more.py"):
        assert identify({**files, name: files[name].replace("1", "2")}).digest != first.digest


def test_python_running_without_docstrings_gives_the_same_key(projects: Any) -> None:
    root = projects.write(
        {"flow.py": "'doc'\ndef g():\n    'doc'\n    assert True\n    return 1\ndef f():\n    'doc'\n    return g()\n"}
    )
    found = [projects.run(root, "import flow; _show(flow.f)", PYTHONOPTIMIZE=level) for level in ("", "1", "2")]
    assert found[0] == found[1] == found[2]


def test_warnings_of_the_source_are_not_repeated(projects: Any) -> None:
    project, function = projects.load(
        {"flow.py": "def f():\n    import late\n    return late.g()\n", "late.py": "def g():\n    return '\\d' is 1\n"}
    )
    assert "late:g" in CodeReader(project).identify(function).parts


def test_the_reader_leaves_no_mark_on_what_it_reads(projects: Any) -> None:
    project, function = projects.load({"flow.py": "N = [1]\nclass A:\n    pass\ndef f():\n    return A, N\n"})
    before = [
        dict(vars(function)),
        set(vars(sys.modules["flow"])),
        set(vars(sys.modules["flow"].A)),
        sorted(path.name for path in project.root.iterdir()),
    ]
    CodeReader(project).identify(function)
    after = [
        dict(vars(function)),
        set(vars(sys.modules["flow"])),
        set(vars(sys.modules["flow"].A)),
        sorted(path.name for path in project.root.iterdir()),
    ]
    assert after == before


def test_importing_the_package_brings_nothing_heavy(projects: Any, tmp_path: Path) -> None:
    code = "import sys; import dovetail.values.encoding, dovetail.values.project; a = set(sys.modules); import dovetail.planning.code; print(__import__('json').dumps([[m for m in set(sys.modules) - a if not m.startswith('dovetail')]]))"
    assert projects.run(tmp_path, code) == [[[]]]
