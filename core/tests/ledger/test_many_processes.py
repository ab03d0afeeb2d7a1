"""64 processes that run pipelines at once against one store, with readers beside them."""

from __future__ import annotations

import json
import os

import pytest

_PROGRAM = '''
import json, os, random, shutil, sys, time, traceback
from typing import Annotated, Tuple
from dovetail import Client, Model, pipeline, step
from dovetail.values.project import cache_folder

PROCESSES, RUNS = int(sys.argv[1]), int(sys.argv[2])


@step
def shared() -> Annotated[list, "shared"]:
    return [1, 2, 3]


@step
def own(given: list, who: int) -> Tuple[Annotated[str, "half"], Annotated[int, "own-{who}"]]:
    return f"of {who % 4}", who


@step
def last(a: str, b: int) -> str:
    return f"{a} {b}"


@pipeline(model=Model("model"))
def p(who: int):
    last(*own.with_options(substitutions={"who": str(who % 8)})(shared(), who))


def write(number):
    for run in range(RUNS):
        ended = p.with_options(enable_cache=None if run == 1 else False)(number)
        assert ended.steps["last"].output.load() == f"of {number % 4} {number}"


def read(number, over):
    """Every artifact that a query names can be read whole; the index is deleted again and again."""
    looked = 0
    while not os.path.exists(over):
        client = Client()
        for run in client.list_runs(limit=20):
            for name, found in run.steps.items():
                for output in found.outputs.values():
                    output.load()
                    looked += 1
        for artifact in client.list_artifacts():
            artifact.load()
        if number % 2:
            for path in cache_folder().glob("index.sqlite*"):
                path.unlink(missing_ok=True)
    with open(f"looked-{number}", "w") as file:
        file.write(str(looked))


def started(work, *args):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(*args)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


if __name__ == "__main__":
    p.plan(0)  # everything that is needed has been imported before the first fork
    gate_read, gate_write = os.pipe()

    def behind_the_gate(work, *args):
        os.close(gate_write)
        os.read(gate_read, 1)  # until the parent closes its end
        work(*args)

    readers = [started(behind_the_gate, read, number, "over") for number in range(2)]
    writers = [started(behind_the_gate, write, number) for number in range(PROCESSES)]
    os.close(gate_write)
    failed = [child for child in writers if os.waitpid(child, 0)[1] != 0]
    open("over", "w").close()
    failed += [child for child in readers if os.waitpid(child, 0)[1] != 0]
    print(json.dumps(failed))
'''


def test_64_processes_at_once_make_no_error_no_number_twice_and_no_gap(programs, store_root) -> None:
    from dovetail import Client

    programs.write("many.py", _PROGRAM)
    process = programs.start("many.py", "64", "3")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    assert json.loads(out.splitlines()[-1]) == [], err[-3000:]
    from tests_checker import survey

    seen = survey(store_root)
    assert (seen.problems, seen.void, seen.gaps, seen.open_runs, seen.aside) == ([], [], [], [], [])
    assert len(seen.runs) == 64 * 3 and set(seen.runs.values()) <= {"completed", "cached"}
    client = Client()
    ran = sum(found.status == "completed" for run in client.list_runs(limit=None) for found in run.steps.values() if found.name == "own")
    assert [found.version for found in client.list_artifacts("half")] == list(range(ran, 0, -1))
    assert sum(len(client.list_artifacts(f"own-{who}")) for who in range(8)) == ran
    versions = [found.version for found in client.get_model("model").versions]
    assert versions == list(range(len(versions), 0, -1)) and len(versions) >= 128
    assert all(int((programs.folder / f"looked-{number}").read_text()) > 0 for number in range(2))
    assert os.path.exists(store_root / "format.json")


@pytest.fixture(autouse=True)
def _checker_is_loaded(check_store) -> None:
    """So that it can be imported by name."""
