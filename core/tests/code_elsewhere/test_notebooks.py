"""Steps that were typed into a notebook's cells are written out as a module, with what they use."""

from __future__ import annotations

import json
import textwrap

import pytest

pytest.importorskip("IPython", reason="a real interactive session")

_DRIVER = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in json.load(open("cells.json")):
    done = shell.run_cell(cell, store_history=True)
    if not done.success:
        print("FAILED", done.error_in_exec or done.error_before_exec)
        break
"""
_IMPORTS = "from dovetail import pipeline, step, Client"
_RUN = """
@pipeline
def p():
    work()

p()
print("GAVE", Client().list_runs()[0].steps["work"].output.load())
"""


@pytest.fixture
def notebook(programs, far):
    """Runs cells as a notebook does and gives what they printed."""
    (programs.folder / "driver.py").write_text(_DRIVER)

    def run(*cells: str) -> str:
        (programs.folder / "cells.json").write_text(json.dumps([_IMPORTS, *(textwrap.dedent(cell) for cell in cells)]))
        said = programs.run("driver.py", env={"IPYTHONDIR": str(programs.folder.parent / "ipython")})
        (programs.folder / "cells.json").unlink()
        return said

    return run


def gave(said: str) -> str:
    assert "GAVE" in said, said
    return said.partition("GAVE ")[2].strip().splitlines()[0]


def test_a_step_takes_along_the_functions_classes_imports_and_constants_that_it_uses(notebook) -> None:
    said = notebook(
        "import math, os.path\nfrom collections import Counter as Tally",
        "RATE = 2\nNAMES = ['a', 'b']",
        """
        from dataclasses import dataclass

        @dataclass
        class Point:
            x: int
            y: int = 3

        def area(point: 'Point') -> float:
            return math.floor(point.x * point.y * RATE + 0.5)
        """,
        """
        @step
        def work() -> list:
            return [area(Point(2)), Tally(NAMES)['a'], os.path.join('a', 'b')]
        """,
        _RUN,
    )
    assert gave(said) == "[12, 1, 'a/b']"


def test_values_are_taken_as_they_are_when_the_run_starts(notebook) -> None:
    said = notebook(
        "import datetime, decimal\nfrom enum import Enum\nclass Mode(Enum):\n    FAST = 1",
        "LIMITS = {}\nWHEN = datetime.date(2020, 1, 1)\nEXACT = decimal.Decimal('0.1')\nMODE = Mode.FAST\nPAIR = (1, {2})\nODD = float('inf')",
        "LIMITS['a'] = 1",
        "@step\ndef work() -> list:\n    return [LIMITS, WHEN.year, str(EXACT), MODE.name, PAIR == (1, {2}), ODD > 1]",
        _RUN,
    )
    assert gave(said) == "[{'a': 1}, 2020, '0.1', 'FAST', True, True]"


def test_patterns_and_partial_functions_are_made_again(notebook) -> None:
    said = notebook(
        "import re, functools\nWORD = re.compile('[a-z]+')\ndef add(a, b):\n    return a + b\nplus = functools.partial(add, 2)\ndouble = lambda x: x * 2",
        "@step\ndef work() -> list:\n    return [WORD.findall('ab 1'), plus(3), double(4)]",
        _RUN,
    )
    assert gave(said) == "[['ab'], 5, 8]"


def test_the_last_definition_counts_and_magics_and_failed_cells_do_no_harm(notebook) -> None:
    said = notebook(
        "def value():\n    return 'first'",
        "%time x = 1",
        "def value():\n    return 'second'",
        "def decorated(function):\n    return function",
        "@step\n@decorated\ndef work() -> str:\n    local = [x for x in range(3)]\n    return value()",
        _RUN,
    )
    assert gave(said) == "second"


def test_modules_of_the_project_and_functions_that_call_one_another_come_along(notebook, programs) -> None:
    programs.write("helping.py", "WORD = 'helped'\ndef help():\n    return WORD\n")
    said = notebook(
        "from helping import *\nimport helping as h",
        "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)",
        "@step\ndef work() -> list:\n    return [help(), h.WORD, even(4)]",
        _RUN,
    )
    assert gave(said) == "['helped', 'helped', True]"


def test_values_of_the_sessions_own_types_are_passed_between_steps(notebook) -> None:
    said = notebook(
        "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int",
        "@step\ndef first(start: Point) -> Point:\n    return Point(start.x + 1)\n@step\ndef work(point: Point) -> int:\n    return point.x + 1",
        "@pipeline\ndef p():\n    work(first(Point(1)))\np()\nrun = Client().list_runs()[0]\nprint('GAVE', run.steps['work'].output.load(), run.steps['first'].output.load())",
    )
    assert gave(said) == "3 Point(x=2)"


def test_what_cannot_be_written_out_is_named_with_the_cure(notebook) -> None:
    said = notebook(
        "import threading\nLOCK = threading.Lock()\nclass Box:\n    def __init__(self):\n        self.inside = LOCK\nBOX = Box()",
        "def inner():\n    return BOX\n@step\ndef work() -> int:\n    with LOCK:\n        return len(str(inner()))",
        _RUN,
    )
    assert "'LOCK', a value of type _thread.lock" in said
    assert "'BOX', a value of type __main__.Box" in said
    assert "Give it to the step as an input" in said
    assert not any(line.startswith("GAVE") for line in said.splitlines())


def test_a_global_that_only_has_the_name_of_a_local_is_no_matter(notebook) -> None:
    said = notebook(
        "import threading\nframe = threading.Lock()",
        "@step\ndef work() -> int:\n    frame = 1\n    return frame + len([frame for frame in range(2)])",
        _RUN,
    )
    assert gave(said) == "3"


def test_a_changed_cell_is_another_result_and_an_unchanged_one_is_cached(notebook) -> None:
    run = _RUN.replace("GAVE", "FIRST")
    again = 'run = p()\nprint("GAVE", run.steps["work"].status, run.steps["work"].output.load())'
    used = "import math\nfrom enum import Enum\nRATE = 1.5\nNAMES = ('a', 'b')\nclass Mode(Enum):\n    ON = 1\ndef helper(x=Mode.ON):\n    return math.floor(RATE) * len(NAMES) * x.value"
    said = notebook(used, "@step\ndef work() -> int:\n    return 1 + 0 * helper()", run, again.replace("GAVE", "SAME"), "@step\ndef work() -> int:\n    return 2", again)
    assert "FIRST 1" in said
    assert said.partition("SAME ")[2].splitlines()[0] == "cached 1"
    assert gave(said).endswith("2")
    assert gave(said).startswith("completed")


def test_a_failure_shows_the_line_of_the_cell(notebook) -> None:
    said = notebook(
        "@step\ndef work() -> float:\n    nothing = 0\n    return 1 / nothing",
        "@pipeline\ndef p():\n    work()\ntry:\n    p()\nexcept Exception:\n    print(Client().list_runs()[0].steps['work'].error['traceback'])",
    )
    assert "return 1 / nothing" in said
    assert "interactive_session.py" in said


def test_a_plain_session_whose_text_nobody_keeps_is_told_what_to_do(programs, far) -> None:
    said = programs.run("-c", "from dovetail import pipeline, step\n@step\ndef work() -> int:\n    return 1\n@pipeline\ndef p():\n    work()\ntry:\n    p()\nexcept Exception as error:\n    print(error)\nelse:\n    print('ran')")
    assert "Write it in a file" in said or said == "ran\n"  # from 3.13 on Python itself keeps such text
