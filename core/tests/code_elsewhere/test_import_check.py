"""Before anything is submitted every step is imported from the package alone; what is missing is named with its cure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dovetail import Client
from dovetail.planning import import_check

_FLOW = """
    {imports}
    from dovetail import pipeline, step

    @step
    def work() -> int:
        return 1

    @pipeline
    def working():
        work()

    if __name__ == "__main__":
        working()
"""


def refused(programs, env=None) -> str:
    with pytest.raises(AssertionError) as failed:
        programs.run("flow.py", env=env)
    said = str(failed.value)
    assert "PreflightFailed" in said
    return said


def test_a_module_that_git_ignores_is_named_with_the_line_that_lists_it(programs, far, write_all, repository) -> None:
    write_all({"flow.py": _FLOW.format(imports="import made"), "made.py": "", ".gitignore": "made.py\n"})
    said = refused(programs)
    assert "Step 'work' cannot be imported as flow:work" in said
    assert "No module named 'made'" in said
    assert "made.py, which .gitignore leaves out" in said
    assert "`!made.py`" in said
    programs.write(".dovetailignore", "!made.py\n")
    programs.run("flow.py")


def test_a_module_that_git_ignores_and_a_step_imports_while_it_runs_is_noted_by_the_plan(programs, far, write_all, repository) -> None:
    text = _FLOW.format(imports="").replace("return 1", "import made\n        return made.X")
    write_all({"flow.py": text, "made.py": "X = 1", ".gitignore": "made.py\n"})
    look = ("-c", "import flow; print(*flow.working.plan().notes)")
    assert "steps use made.py, which .gitignore leaves out of the code package; to have it there, list it in .dovetailignore: `!made.py`" in programs.run(*look)
    programs.write(".dovetailignore", "!made.py\n")
    assert "made.py" not in programs.run(*look)


_TYPED = """
from dovetail import pipeline, step
@step{options}
def work() -> int:
    return 1
@pipeline
def p():
    work()
try:
    p()
except Exception as error:
    print(error)
else:
    print("ran")
"""


def piped(programs, options: str, env=None) -> str:
    """What a program says that Python reads from its standard input."""
    with programs.start("-", env=env, stdin=subprocess.PIPE) as process:
        said, errors = process.communicate(_TYPED.format(options=options), timeout=120)
    assert process.returncode == 0, errors
    return said


def test_a_program_that_is_piped_in_is_told_to_be_a_file_where_that_is_needed_and_runs_where_it_is_not(programs, far) -> None:
    assert "Write it in a file" in piped(programs, "")
    assert piped(programs, "", {"DOVETAIL_STACK": "default"}) == "ran\n"
    said = piped(programs, "(timeout=5)", {"DOVETAIL_STACK": "default"})
    assert "Step 'work' needs a process of its own" in said
    assert "which was typed in, cannot be imported there. Write it in a file." in said


def test_a_module_that_dovetailignore_leaves_out_is_named(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW.format(imports="from lib import deep"), "lib/deep.py": "", ".dovetailignore": "lib/\n"})
    assert "lib/, which .dovetailignore leaves out" in refused(programs)
    programs.write(".dovetailignore", "lib/\n!lib/deep.py\n")
    programs.run("flow.py")


def test_a_module_on_pythonpath_that_the_step_does_not_reach_is_named(programs, far, write_all, isolated) -> None:
    (isolated / "elsewhere").mkdir()
    (isolated / "elsewhere" / "helping.py").write_text("")
    write_all({"flow.py": _FLOW.format(imports="import importlib\n    importlib.import_module('help' + 'ing')")})
    path = os.pathsep.join([str(isolated / "elsewhere"), os.environ["PYTHONPATH"]])
    said = refused(programs, env={"PYTHONPATH": path})
    assert "neither installed nor below the project's root" in said


def test_a_module_that_only_the_running_program_has_is_told_to_be_installed(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW.format(imports="import sys, types\n    if __name__ == '__main__':\n        sys.modules['conjured'] = types.ModuleType('conjured')\n    import conjured")})
    assert "install it" in refused(programs)


def test_a_step_defined_in_a_function_is_refused(programs, far, write_all) -> None:
    write_all({"flow.py": """
        from dovetail import pipeline, step

        def make():
            @step
            def work() -> int:
                return 1
            return work

        work = make()

        @pipeline
        def working():
            work()

        if __name__ == "__main__":
            working()
    """})
    assert "Define the step at module level" in refused(programs)


def test_a_module_that_fails_is_told_with_its_line_and_one_that_ends_the_process_too(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW.format(imports="import sys\n    if __name__ != '__main__':\n        sys.exit('no')")})
    assert "SystemExit: no (flow.py, line 4)" in refused(programs)
    write_all({"flow.py": _FLOW.format(imports="import os\n    if __name__ != '__main__':\n        os._exit(3)")})
    assert "exit code 3" in refused(programs)


def test_a_pipeline_called_at_module_level_runs_once(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW.format(imports="").replace('if __name__ == "__main__":\n        working()', "working()")})
    programs.run("flow.py")
    assert len(Client().list_runs()) == 1


def test_what_modules_print_and_files_that_they_read_are_no_matter(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW.format(imports="print('{}')\n    print(open('settings.txt').read())"), "settings.txt": "x"})
    programs.run("flow.py")


def test_one_process_tries_all_steps_and_what_was_found_good_is_not_tried_again(programs, far, write_all, isolated) -> None:
    counting = f"with open({str(isolated / 'count')!r}, 'a') as file:\n        file.write('{{}} '.format(__name__))"
    flow = _FLOW.format(imports=counting).replace("@pipeline", "@step\n    def more() -> int:\n        return 2\n\n    @pipeline").replace("        work()\n", "        work()\n        more()\n")
    write_all({"flow.py": flow})
    for _ in range(2):
        programs.run("flow.py")
    said = (isolated / "count").read_text().split()
    assert said.count("__main__") == 2
    assert said.count("flow") == 3  # the check, and two workers


def test_a_problem_is_told_again_until_it_is_cured(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW.format(imports="import made"), "made.py": "", ".dovetailignore": "made.py\n"})
    assert refused(programs) and refused(programs)


def test_nothing_is_tried_for_a_run_that_stays_here(programs, far, write_all, isolated) -> None:
    write_all({"flow.py": _FLOW.format(imports="import made"), "made.py": "", ".dovetailignore": "made.py\n"})
    programs.run("flow.py", env={"DOVETAIL_STACK": "default"})
    assert not (isolated / "cache" / "code-checks").exists()


def test_only_what_is_installed_is_on_the_path_of_the_process(programs, monkeypatch, tmp_path) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = import_check._installed_path()
    assert str(tmp_path) not in path
    assert str(Path.cwd()) not in path
    assert any(entry.endswith("site-packages") for entry in path)
    assert all(entry in sys.path for entry in path)


def test_hooks_are_imported_too(programs, far, write_all) -> None:
    write_all({
        "flow.py": _FLOW.format(imports="from hooks import tell").replace("@step\n", "@step(on_success=tell)\n"),
        "hooks.py": "def tell():\n    pass\n",
    })
    programs.run("flow.py")
