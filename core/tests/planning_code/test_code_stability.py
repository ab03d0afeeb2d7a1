"""One key for one code: in any process, under any name of the script, from any folder, whatever else was imported."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dovetail.planning.code import CodeIdentity, CodeReader
from dovetail.values.project import Project

SCRIPT = {
    "flow.py": """
        from __future__ import annotations
        import enum
        from helpers import back, Thing

        class Colour(enum.Enum):
            RED = 1

        N = 3
        HERE = __file__
        BEST = Colour.RED
        REG = {"f": Thing, "back": back}
        def make(n, kind):
            def inner():
                return n, kind
            return inner
        closure = make(1, Colour)
        def f(x: Thing) -> int:
            return back(), N, BEST, REG, HERE, closure()
        """,
    "helpers.py": """
        LIMITS = (1, 2)
        class Thing:
            pass
        def back():
            from flow import N
            return N, LIMITS
        """,
}


def tail(root: Path) -> Path:
    """Let the script show its function when it is run, but not when it is imported."""
    script = root / "flow.py"
    shown = "\nif __name__ == '__main__':\n    import sys\n    from shower import _show\n    _show(f)\n"
    script.write_text(script.read_text() + shown)
    return script


def test_a_script_has_the_same_key_when_it_is_run_and_when_it_is_imported(projects: Any, show: str) -> None:
    root = projects.write({**SCRIPT, "shower.py": show})
    script = tail(root)
    run = projects.run(root, "", str(script))
    assert run == projects.run(root, "import flow; _show(flow.f)")
    assert run == projects.run(root, "", "-m", "flow")
    assert run[0][4] is None
    assert "__main__" not in str(run)


def test_a_script_in_a_folder_has_the_same_key_by_a_relative_path(projects: Any, show: str) -> None:
    root = projects.write({**{f"flows/{name}": source for name, source in SCRIPT.items()}, "shower.py": show})
    tail(root / "flows")
    run = projects.run(root, "", "flows/flow.py")
    assert run == projects.run(root, "import flow; _show(flow.f)", PYTHONPATH=f"{root / 'flows'}{os.pathsep}{root}")


def test_the_key_does_not_depend_on_the_hash_seed_or_the_folder(projects: Any) -> None:
    source = """
        import os
        from pathlib import Path
        HERE = os.path.dirname(os.path.abspath(__file__))
        DATA = os.path.join(HERE, "data")
        PLACES = [DATA, {"here": HERE}]
        ROOT = Path(__file__).parent
        KINDS = {"a", "b", "c", 1, (2, "d")}
        def make(place, kinds):
            def inner():
                return place, kinds
            return inner
        inner = make(ROOT, frozenset("abc"))
        def f():
            return HERE, DATA, PLACES, ROOT, KINDS, inner()
        """
    found = [
        projects.run(projects.write({"flow.py": source}), "import flow; _show(flow.f)", PYTHONHASHSEED=seed)[0]
        for seed in ("1", "2", "3")
    ]
    assert found[0] == found[1] == found[2]


LATE = {
    "a literal": "N = {'a': [1, (2, 3)], 'b': {4}, 'c': b'5', 'd': -1.5, 'e': None}\n",
    "an annotated literal": "N: dict = {'a': 1}\n",
    "two names of one literal": "N = M = [1]\n",
    "a computed value": "import time\nN = time.time()\n",
    "a changed literal": "N = [1]\nN.append(2)\n",
    "a registry": "N = {}\ndef register(g):\n    N[g.__name__] = g\n    return g\n@register\ndef a():\n    return 1\n",
    "an object": "class A:\n    pass\nN = A()\n",
    "a function": "def N():\n    return 1\n",
    "a decorated function": "import functools\n@functools.lru_cache\ndef N():\n    return 1\n",
    "a default": "import time\ndef N(x=time.time()):\n    return x\n",
    "a re-export": "from deeper import N\n",
    "a star import": "from deeper import *\n",
    "a submodule's name": "import deeper\nN = deeper.N\n",
}


@pytest.mark.parametrize("case", LATE)
def test_the_key_is_the_same_before_and_after_a_module_happens_to_be_imported(projects: Any, case: str) -> None:
    files = {
        "flow.py": "def f():\n    from late import N\n    import late\n    return N, late.N\n",
        "late.py": LATE[case],
        "deeper.py": "import time\nN = time.time()\n",
    }
    project, function = projects.load(files)
    before = CodeReader(project).identify(function)
    assert "late" not in sys.modules
    importlib.import_module("late")
    assert CodeReader(project).identify(function).parts == before.parts


@pytest.mark.parametrize(
    "imports", ["import other", "from other import unrelated", "try:\n    import pkg.sub\nexcept ImportError:\n    pass"]
)
def test_a_module_that_is_always_loaded_counts_by_value_wherever_it_is_imported(
    projects: Any, monkeypatch: pytest.MonkeyPatch, imports: str
) -> None:
    files = {
        "flow.py": f"{imports}\ndef f():\n    from late import N\n    return N\n",
        "other.py": "import late\nunrelated = 1\n",
        "pkg/__init__.py": "from late import N\n",
        "pkg/sub.py": "",
        "late.py": "import os\nN = os.environ['CODE_TEST']\n",
    }
    digests = set()
    for value in ("1", "2"):
        monkeypatch.setenv("CODE_TEST", value)
        project, function = projects.load(files)
        digests.add(CodeReader(project).identify(function).digest)
    assert len(digests) == 2


def test_a_module_imported_for_typing_only_does_not_count_by_value(projects: Any) -> None:
    files = {
        "flow.py": "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from late import N, A\ndef f(x: A = 1) -> N:\n    return x\n",
        "late.py": "import time\nN = time.time()\nclass A: pass\n",
    }
    project, function = projects.load(files)
    before = CodeReader(project).identify(function)
    importlib.import_module("late")
    assert CodeReader(project).identify(function).parts == before.parts


def test_a_key_does_not_depend_on_what_was_identified_before(projects: Any) -> None:
    files = {
        "flow.py": "import conf\nM = []\ndef f():\n    return conf.N, M\ndef g():\n    import late\n    M.append(1)\n    return late.N, late.h()\n",
        "conf.py": "N = 1\n",
        "late.py": "import conf\nN = conf.N + 1\ndef h():\n    conf.N += 1\n",
    }
    project, function = projects.load(files)
    other = sys.modules["flow"].g
    together = CodeReader(project)
    one, two = together.identify(function), together.identify(other)
    assert CodeReader(project).identify(other) == two
    assert CodeReader(project).identify(function) == one


def test_a_registry_filled_by_a_module_that_is_not_always_loaded_counts_what_it_holds(projects: Any) -> None:
    files = {
        "flow.py": "from reg import REG\ndef f(name):\n    return REG[name]()\n",
        "reg.py": "REG = {}\n",
        "late.py": "import os\nfrom reg import REG\nN = os.environ['CODE_TEST']\ndef a():\n    return N\nREG['a'] = a\n",
    }
    digests = set()
    for value in ("1", "2", "2"):
        os.environ["CODE_TEST"] = value
        project, function = projects.load(files)
        importlib.import_module("late")
        digests.add(CodeReader(project).identify(function).digest)
    del os.environ["CODE_TEST"]
    assert len(digests) == 2


def rewrite(project: Project, source: str, name: str = "flow.py") -> None:
    """Edit a file so that its time stamp shows it."""
    path = project.root / name
    path.write_text(source)
    later = time.time_ns() + 5_000_000_000
    os.utime(path, ns=(later, later))


def test_code_edited_after_it_was_loaded_is_not_cached_until_it_is_loaded_again(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})
    first = CodeReader(project).identify(function)
    rewrite(project, "def f():\n    return 2\n")
    stale = CodeReader(project).identify(function)
    assert stale.digest == first.digest
    assert "edited after this process imported it" in str(stale.uncacheable)
    again = CodeReader(project).identify(importlib.reload(sys.modules["flow"]).f)
    assert again.uncacheable is None
    assert again.digest != first.digest


def test_code_edited_between_loading_and_the_first_look_is_not_cached(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})
    rewrite(project, "def f():\n    return 2\n")
    assert "edited after this process imported it" in str(CodeReader(project).identify(function).uncacheable)


def test_code_moved_between_loading_and_the_first_look_is_not_cached(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})
    rewrite(project, "\n\n\ndef f():\n    return 1\n")
    assert "edited after this process imported it" in str(CodeReader(project).identify(function).uncacheable)


def test_a_helper_edited_between_loading_and_the_first_look_is_not_cached(projects: Any) -> None:
    project, function = projects.load(
        {"flow.py": "from helpers import g\ndef f():\n    return g()\n", "helpers.py": "def g():\n    return 1\n"}
    )
    rewrite(project, "def g():\n    return 2\n", "helpers.py")
    assert "'helpers' was edited" in str(CodeReader(project).identify(function).uncacheable)


@pytest.mark.parametrize("source", ["def f():\n    return 1\n", "# comment\n\ndef f():\n    'says'\n    return (1)\n"])
def test_a_file_that_was_only_touched_or_laid_out_anew_stays_cached(projects: Any, source: str) -> None:
    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})
    first = CodeReader(project).identify(function)
    rewrite(project, source)
    assert CodeReader(project).identify(function) == first


def test_a_file_that_is_edited_and_put_back_is_cached_again(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})
    first = CodeReader(project).identify(function)
    rewrite(project, "def f():\n    return 2\n")
    assert CodeReader(project).identify(function).uncacheable is not None
    rewrite(project, "def f():\n    return 1\n")
    assert CodeReader(project).identify(function) == first


def test_a_module_that_is_not_loaded_counts_as_it_stands_now(projects: Any) -> None:
    project, function = projects.load(
        {"flow.py": "def f():\n    import late\n    return late.g()\n", "late.py": "def g():\n    return 1\n"}
    )
    first = CodeReader(project).identify(function)
    (project.root / "late.py").write_text("def g():\n    return 2\n")
    second = CodeReader(project).identify(function)
    assert second.uncacheable is None
    assert second.digest != first.digest


def test_an_edit_of_the_same_size_within_one_tick_of_the_clock_is_seen(projects: Any) -> None:
    project, function = projects.load(
        {"flow.py": "def f():\n    import late\n    return late.g()\n", "late.py": "def g():\n    return 1\n"}
    )
    path = project.root / "late.py"
    digests = set()
    for value in range(10):
        status = path.stat()
        path.write_text(f"def g():\n    return {value}\n")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        digests.add(CodeReader(project).identify(function).digest)
    assert len(digests) == 10


def test_a_function_whose_file_is_gone_still_has_a_key(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})
    (project.root / "flow.py").unlink()
    found = CodeReader(project).identify(function)
    assert found.files == ()
    assert "flow:f" in found.parts


@pytest.mark.parametrize("content", [b"def g(:\n", b"\xff\xfe\x00", b"g = 1\x00", b"# coding: nonsense\n"])
def test_a_module_that_is_no_python_counts_by_its_bytes(projects: Any, content: bytes) -> None:
    digests = []
    for extra in (b"", b"", b"\n#"):
        project, function = projects.load({"flow.py": "def f():\n    import late\n    return late.g()\n"})
        (project.root / "late.py").write_bytes(content + extra)
        digests.append(CodeReader(project).identify(function).digest)
    assert digests[0] == digests[1] != digests[2]


def test_reading_code_imports_none_of_it(projects: Any) -> None:
    files = {
        "flow.py": "def f():\n    import late, pkg.deep\n    from pkg import other\n    import xml.dom.pulldom\n    return late.N, pkg.deep.N, other\n",
        "late.py": "raise SystemExit\n",
        "pkg/__init__.py": "raise SystemExit\n",
        "pkg/deep.py": "N = 1\n",
        "pkg/other.py": "",
    }
    project, function = projects.load(files)
    before = set(sys.modules)
    found = CodeReader(project).identify(function)
    assert {file.name for file in found.files} == {"flow.py", "late.py", "__init__.py", "deep.py", "other.py"}
    assert set(sys.modules) - before == set()


def test_an_unchanged_file_is_parsed_once_for_all_sessions(projects: Any) -> None:
    project, function = projects.load({"flow.py": "def f():\n    return 1\n"})
    old = time.time_ns() - 60_000_000_000
    os.utime(project.root / "flow.py", ns=(old, old))

    def tree() -> object:
        reader = CodeReader(project)
        reader.identify(function)
        module = reader._sessions[None].modules.find("flow")
        assert module is not None and module.source is not None
        return module.source.tree

    assert tree() is tree()


def test_what_must_be_there_to_import_a_step_includes_what_its_modules_import(projects: Any) -> None:
    files = {
        "flow.py": "import other\nfrom pkg.a import A\ndef f():\n    return 1\n",
        "other.py": "import deep\n",
        "deep.py": "def g():\n    import unneeded\n",
        "unneeded.py": "",
        "pkg/__init__.py": "",
        "pkg/a.py": "A = 1\n",
    }
    project, function = projects.load(files)
    reader = CodeReader(project)
    found: CodeIdentity = reader.identify(function)
    assert [str(file.relative_to(project.root)) for file in found.files] == ["flow.py"]
    needed = reader.imported_with(found.files)
    assert [str(file.relative_to(project.root)) for file in needed] == [
        "deep.py",
        "flow.py",
        "other.py",
        "pkg/__init__.py",
        "pkg/a.py",
    ]
