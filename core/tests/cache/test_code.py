"""Which edits of the code make a step run again, and which do not."""

from __future__ import annotations

import shutil

import pytest

_FLOW = """
    import helper
    from constants import LIMIT
    from dovetail import pipeline, step
    from shapes import Shape


    def unreachable():
        return "nobody calls this"


    def near(x):
        return x + 1


    @step
    def work(x: int) -> int:
        return near(helper.double(x)) + LIMIT + Shape(2).area()


    @step
    def other(x: int) -> int:
        return x


    @pipeline
    def p():
        other(work(3))
"""
_HELPER = """
    from deeper import offset


    def double(x):
        return 2 * x + offset()


    def not_used(x):
        return x
"""
_DEEPER = """
    OFFSET = 10


    def offset():
        return OFFSET
"""
_CONSTANTS = """
    LIMIT = 5
    UNRELATED = 6
"""
_SHAPES = """
    class Shape:
        sides = 4

        def __init__(self, width):
            self.width = width

        def area(self):
            return self.width * self.sides
"""


_TEXTS = {"flow": _FLOW, "helper": _HELPER, "deeper": _DEEPER, "constants": _CONSTANTS, "shapes": _SHAPES}


@pytest.fixture(scope="module")
def run_once():
    """Kept by the first test: a project that has run, and its store."""
    return {}


@pytest.fixture
def project(edited, run_once, tmp_path_factory, isolated):
    """A project that has run once."""
    edited.write(**_TEXTS)
    if not run_once:
        assert edited.run() == {"work": "completed", "other": "completed"}
        assert edited.run() == {"work": "cached", "other": "cached"}
        run_once["user"] = shutil.copytree(isolated / "user", tmp_path_factory.mktemp("run_once") / "user")
    shutil.copytree(run_once["user"], isolated / "user", dirs_exist_ok=True)
    return edited


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("helper", "2 * x", "3 * x"),
        ("deeper", "return OFFSET", "return OFFSET + 1"),
        ("deeper", "OFFSET = 10", "OFFSET = 11"),
        ("constants", "LIMIT = 5", "LIMIT = 7"),
        ("shapes", "self.width * self.sides", "self.width * self.sides + 1"),
        ("shapes", "sides = 4", "sides = 5"),
        ("shapes", "self.width = width", "self.width = width + 1"),
        ("flow", "return x + 1", "return x + 2"),
        ("flow", "+ LIMIT +", "- LIMIT +"),
        ("flow", "work(3)", "work(4)"),
    ],
)
def test_an_edit_of_what_the_step_reaches_runs_it_again(project, name, before, after) -> None:
    assert _TEXTS[name].count(before) == 1
    project.write(**{name: _TEXTS[name].replace(before, after)})
    assert project.run()["work"] == "completed"


def test_an_edit_that_is_undone_takes_the_earlier_result(project) -> None:
    project.write(helper=_HELPER.replace("2 * x", "3 * x"))
    assert project.run()["work"] == "completed"
    project.write(helper=_HELPER)
    assert project.run() == {"work": "cached", "other": "cached"}


def test_comments_formatting_docstrings_decorators_and_what_is_not_reached_run_nothing_again(project) -> None:
    project.write(
        flow=_FLOW.replace("return near(", "# a comment\n        return near(").replace('"nobody calls this"', '"edited"')
        .replace("def near(x):\n", 'def near(x):\n        """Says something."""\n\n')
        .replace("@step\n    def work", "@step(tags=['t'], enable_cache=True)\n    def work")
        .replace("near(helper.double(x)) + LIMIT + Shape(2).area()", "(\n            near(helper.double(x))\n            + LIMIT\n            + Shape(2).area()\n        )"),
        helper=_HELPER.replace("def not_used(x):\n        return x", "def not_used(x, y=1):\n        return x - y"),
        constants=_CONSTANTS.replace("UNRELATED = 6", "UNRELATED = 7"),
        shapes=_SHAPES.replace("class Shape:\n", "class Shape:\n        # sides of it\n"),
        deeper=_DEEPER + "\n\n    def new():\n        return 1\n",
    )  # fmt: skip
    assert project.run() == {"work": "cached", "other": "cached"}


def test_a_step_whose_code_changed_but_not_its_result_runs_nothing_that_follows(project) -> None:
    project.write(helper=_HELPER.replace("2 * x", "x * 2"))
    assert project.run() == {"work": "completed", "other": "cached"}


def test_a_closures_values_and_defaults_count(edited) -> None:
    flow = """
        from dovetail import pipeline, step

        def made(factor):
            def inner(x, plus=1):
                return x * factor + plus
            return inner

        by = made(2)

        @step
        def work(x: int) -> int:
            return by(x)

        @pipeline
        def p():
            work(3)
    """
    edited.write(flow=flow)
    assert edited.run() == {"work": "completed"}
    assert edited.run() == {"work": "cached"}
    edited.write(flow=flow.replace("made(2)", "made(3)"))
    assert edited.run() == {"work": "completed"}
    edited.write(flow=flow.replace("plus=1", "plus=2"))
    assert edited.run() == {"work": "completed"}


def test_the_version_of_a_package_that_a_reached_module_imports_counts(edited, isolated) -> None:
    site = isolated / "vendored"
    for version in ("1.0", "2.0"):
        folder = site / version
        info = folder / f"vendorlib-{version}.dist-info"
        info.mkdir(parents=True)
        (folder / "vendorlib.py").write_text("def f():\n    return 1\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vendorlib\nVersion: {version}\n")
        (info / "RECORD").write_text("vendorlib.py,,\n")
        (info / "top_level.txt").write_text("vendorlib\n")
    edited.write(flow="""
        import vendorlib
        from dovetail import pipeline, step

        @step
        def work() -> int:
            return vendorlib.f()

        @pipeline
        def p():
            work()
    """)
    assert edited.run(env={"PYTHONPATH": str(site / "1.0")}) == {"work": "completed"}
    assert edited.run(env={"PYTHONPATH": str(site / "1.0")}) == {"work": "cached"}
    assert edited.run(env={"PYTHONPATH": str(site / "2.0")}) == {"work": "completed"}


def test_an_import_by_computed_name_makes_a_step_uncacheable_unless_a_cache_key_is_given(edited) -> None:
    flow = """
        import importlib
        from dovetail import pipeline, step

        @step
        def work(name: str) -> int:
            return importlib.import_module("mod" + name).VALUE

        @pipeline
        def p():
            work("a")
    """
    edited.write(flow=flow, moda="VALUE = 1\n")
    assert edited.run() == {"work": "completed"}
    assert edited.run() == {"work": "completed"}
    edited.write(flow=flow.replace("@step", "@step(cache_key='mine')"))
    assert edited.run() == {"work": "completed"}
    assert edited.run() == {"work": "cached"}


def test_an_edited_materializer_of_an_output_runs_the_step_again(edited) -> None:
    files = {
        "flow": """
            from dovetail import pipeline, step
            from things import Thing, ThingMaterializer

            @step(output_materializers=ThingMaterializer)
            def work() -> Thing:
                return Thing()

            @pipeline
            def p():
                work()
        """,
        "things": """
            import os
            from dovetail import BaseMaterializer

            class Thing: ...

            class ThingMaterializer(BaseMaterializer):
                ASSOCIATED_TYPES = (Thing,)
                def save(self, value):
                    with open(os.path.join(self.uri, "t"), "w") as file:
                        file.write("v1")
                def load(self, data_type):
                    return Thing()
        """,
    }
    edited.write(**files)
    assert edited.run() == {"work": "completed"}
    assert edited.run() == {"work": "cached"}
    edited.write(things=files["things"].replace('"v1"', '"v2"'))
    assert edited.run() == {"work": "completed"}
