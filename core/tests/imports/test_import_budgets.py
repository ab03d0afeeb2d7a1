"""What is imported for what: `import dovetail` next to nothing, a finished step no heavy library, a decorated function no plugin."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("unmeasured")  # what measures coverage imports more than is allowed here
HEAVY = ("pydantic", "pydantic_core", "fsspec", "rich", "yaml", "numpy", "pandas", "pyarrow", "click", "sqlite3")
_TELL = """
import json, os, sys
packages = os.path.dirname(os.path.dirname(__import__("blake3").__file__))
third_party = sorted({
    name.partition(".")[0] for name, module in sys.modules.items()
    if (getattr(module, "__file__", None) or "").startswith(packages) and not name.startswith("_")
})
print(json.dumps([third_party, sorted(sys.modules)]))
"""
_FLOW = """
from dovetail import pipeline, step

@step
def first() -> int:
    return 1

@step
def second(x: int, factor: int = 2) -> list[int]:
    print("working")
    return [x * factor]

@pipeline
def p(factor: int = 3):
    second(first(), factor)
"""


def imported(programs, source: str, env: dict[str, str] | None = None) -> tuple[set[str], set[str]]:
    """(third-party packages, all modules) of a fresh process after it ran `source`."""
    programs.write("probe.py", source.lstrip() + _TELL)
    said = programs.run("probe.py", env=env)
    third_party, modules = json.loads(said.splitlines()[-1])
    return set(third_party) - {"blake3"}, set(modules)


def new_modules(programs, statement: str) -> list[str]:
    said = programs.run("-c", f"import sys\nbefore = set(sys.modules)\n{statement}\nprint('\\n'.join(sorted(set(sys.modules) - before)))")
    return said.split()


def test_importing_dovetail_loads_nothing_third_party_and_few_modules(programs) -> None:
    names = new_modules(programs, "import dovetail")
    assert [name for name in names if name.startswith("dovetail")] == ["dovetail"]
    assert len(names) <= 40, names
    assert not set(names) & {"inspect", "ast", "json", "logging", "pathlib", "dataclasses", "sqlite3", "asyncio", *HEAVY, "pluggy", "blake3"}


def test_decorating_imports_no_plugin_and_reads_no_file(programs, isolated) -> None:
    third_party, modules = imported(programs, _FLOW)
    assert third_party <= {"pluggy"}
    assert not [name for name in modules if name.startswith("dovetail.local")]
    assert not modules & {"sqlite3", "subprocess", "multiprocessing", "asyncio", "http.client", "email"}
    assert not (isolated / "user" / ".dovetail").exists()


def test_from_python_to_a_finished_step_on_the_default_stack_no_heavy_library_is_imported(programs) -> None:
    for _ in range(2):  # run, then cached
        third_party, modules = imported(programs, _FLOW + '\nassert p().steps["second"].output.load() == [3]\n')
        assert not modules & set(HEAVY) - {"sqlite3"}
        assert third_party <= {"pluggy"}


def test_a_run_alone_opens_no_index(programs) -> None:
    _, modules = imported(programs, _FLOW + "\np()\n")
    assert not modules & set(HEAVY)


def test_a_finished_run_loads_few_modules(programs) -> None:
    _, modules = imported(programs, _FLOW + "\np()\n")
    assert len(modules) <= 330, len(modules)
    assert not modules & {"asyncio", "unittest", "xml", "http.client", "email.message", "multiprocessing", "ssl"}


def test_a_worker_process_imports_no_heavy_library_either(programs) -> None:
    programs.write("apart.py", """
        import sys
        from dovetail import pipeline, step

        @step(isolated=True)
        def loaded() -> list[str]:
            return sorted(sys.modules)

        @pipeline
        def p():
            loaded()

        if __name__ == "__main__":
            print(*p().steps["loaded"].output.load())
    """)
    modules = set(programs.run("apart.py").split())
    assert "dovetail.execution.worker" in modules
    assert not modules & set(HEAVY)


def test_queries_import_neither_pydantic_nor_fsspec_rich_or_yaml(programs) -> None:
    programs.write("flow.py", _FLOW)
    programs.run("-c", "import flow; flow.p()")
    third_party, modules = imported(programs, """
from dovetail import Client
client = Client()
run = client.list_runs()[0]
assert run.steps["second"].output.load() == [3]
assert client.get_artifact("p.first.output").consumers[0].name == "second"
""")
    assert third_party <= {"pluggy"}
    assert not modules & set(HEAVY) - {"sqlite3"}


def test_a_plugin_that_is_not_used_costs_no_import_of_its_components(programs, install_plugin) -> None:
    install_plugin("idle", """
        from dovetail.plugin import FlavorSpec, hookimpl

        @hookimpl
        def dovetail_experiment_trackers():
            return [FlavorSpec("idle", "idle_components:Tracker", requires=["a-heavy-sdk"])]
    """)
    _, modules = imported(programs, _FLOW + "\np()\n")
    assert "idle_components" not in modules


@pytest.mark.parametrize("name", ["step", "pipeline", "Client", "Model", "Retry", "when", "BaseMaterializer", "ExternalArtifact", "RunFailed", "log_metrics"])
def test_each_public_name_can_be_imported_first_and_alone(programs, name) -> None:
    programs.run("-c", f"from dovetail import {name}")


def test_every_public_name_is_listed_and_a_wrong_one_is_an_attribute_error() -> None:
    import dovetail

    for name in dovetail.__all__:
        assert getattr(dovetail, name) is not None
    assert set(dovetail.__all__) <= set(dir(dovetail))
    with pytest.raises(AttributeError, match="no attribute 'stepp'"):
        dovetail.stepp  # noqa: B018
