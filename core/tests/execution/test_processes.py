"""Steps that need a process of their own: what sends them there, what comes back, and what becomes of those that die."""

from __future__ import annotations

import os
import time

import pytest

from typing import Any

from dovetail import Environment, RunFailed, pipeline, step
from dovetail.errors import GraphError, PreflightFailed


def test_a_step_with_a_timeout_runs_in_another_process_and_its_result_is_kept(make_module) -> None:
    flow = make_module("""
        import os
        from typing import Annotated
        from dovetail import log_metrics, pipeline, step

        @step
        def first() -> int:
            return 20

        @step(timeout=30)
        def timed(x: int, factor: int = 2) -> Annotated[int, "product"]:
            log_metrics(factor=factor, step=1)
            print("pid", os.getpid())
            return x * factor + os.getpid() * 0

        @pipeline
        def p():
            timed(first())
    """)
    found = flow.p().steps["timed"]
    assert found.outputs["product"].load() == 40
    assert found.metrics == {"factor": 2.0}
    assert found.log().startswith("pid ") and f"pid {os.getpid()}\n" != found.log()


def test_a_step_that_outlives_its_timeout_is_ended_and_says_so(make_module) -> None:
    flow = make_module("""
        import time
        from dovetail import pipeline, step

        @step(timeout=0.8)
        def endless() -> int:
            while True:
                time.sleep(0.05)

        @pipeline
        def p():
            endless()
    """)
    began = time.monotonic()
    with pytest.raises(RunFailed, match="longer than its timeout of 0.8 s") as failed:
        flow.p()
    assert time.monotonic() - began < 6
    assert failed.value.run.steps["endless"].status == "failed"
    assert failed.value.run.steps["endless"].error["type"] == "dovetail.errors:StepTimeout"


def test_a_step_that_heeds_no_signal_is_killed_after_its_timeout(make_module) -> None:
    flow = make_module("""
        import signal, time
        from dovetail import pipeline, step

        @step(timeout=0.8)
        def stubborn() -> int:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(0.05)

        @pipeline
        def p():
            stubborn()
    """)
    with pytest.raises(RunFailed, match="timeout"):
        flow.p()


def test_environment_variables_are_set_for_that_step_alone_while_others_run(make_module) -> None:
    flow = make_module("""
        import os
        from dovetail import Environment, pipeline, step

        @step
        def show(name: str) -> list:
            return [os.environ.get("COLOUR", "none"), os.getpid()]

        @pipeline
        def p():
            for colour in ("red", "blue"):
                show.with_options(environment=Environment(env={"COLOUR": colour}))(colour, id=colour)
            show("plain", id="plain")
    """)
    run = flow.p()
    seen = {name: found.output.load() for name, found in run.steps.items()}
    assert {name: colour for name, (colour, _) in seen.items()} == {"red": "red", "blue": "blue", "plain": "none"}
    assert seen["plain"][1] == os.getpid() and len({pid for _, pid in seen.values()}) == 3
    assert "COLOUR" not in os.environ


def test_a_tracker_that_changes_the_process_sends_steps_that_run_at_once_to_processes(make_module, install_plugin, apply_stack) -> None:
    install_plugin("wideplugin", """
        from typing import ClassVar
        from dovetail.components import ExperimentTracker
        from dovetail.plugin import FlavorSpec, hookimpl

        class Wide(ExperimentTracker):
            process_wide_state: ClassVar[bool] = True
            def start(self, step_run): ...
            def log_params(self, params): ...
            def log_metrics(self, metrics, step): ...
            def finish(self, step_run): ...

        @hookimpl
        def dovetail_experiment_trackers():
            return [FlavorSpec("wide", "wideplugin:Wide")]
    """)
    apply_stack("tracked", experiment_tracker=("wide", "w", {}))
    flow = make_module("""
        import os
        from dovetail import log_metrics, pipeline, step

        @step
        def where(n: int) -> int:
            log_metrics(n=n)
            return os.getpid()

        @pipeline
        def p():
            before = [where(n, id=f"w{n}") for n in range(2)]
            where(9, id="alone", after=before)
    """)
    run = flow.p.with_options(stack="tracked")()
    assert os.getpid() not in {run.steps[name].output.load() for name in ("w0", "w1")}
    assert run.steps["alone"].output.load() == os.getpid()
    assert "tracker_errors" not in run.steps["w0"].outcome


def test_a_worker_process_is_kept_for_the_next_step(make_module) -> None:
    flow = make_module("""
        import os
        from dovetail import pipeline, step

        @step(isolated=True)
        def where(before: int) -> int:
            return os.getpid()

        @pipeline
        def p():
            where(where(where(0)))
    """)
    pids = {found.output.load() for found in flow.p().steps.values()}
    assert len(pids) == 1 and os.getpid() not in pids


def test_what_is_written_to_the_descriptors_reaches_a_workers_log(make_module) -> None:
    flow = make_module("""
        import os, subprocess, sys
        from dovetail import pipeline, step

        @step(isolated=True)
        def speak() -> int:
            print("by print")
            os.write(1, b"by descriptor\\n")
            os.system("echo by another program")
            print("by stderr", file=sys.stderr)
            return 1

        @pipeline
        def p():
            speak()
    """)
    log = flow.p().steps["speak"].log()
    assert sorted(log.splitlines()) == ["by another program", "by descriptor", "by print", "by stderr"]


def test_a_step_that_no_process_can_import_is_refused_before_the_run_with_the_cure() -> None:
    @step(timeout=3)
    def local() -> int:
        return 1

    @pipeline
    def p() -> None:
        local()

    with pytest.raises(PreflightFailed, match="Define the step at module level"):
        p()


def test_a_local_step_with_variables_fails_with_the_cure_where_it_would_need_a_process() -> None:
    @step
    def local(n: int) -> str:
        return os.environ["X"]

    @pipeline
    def p() -> None:
        for number in range(2):
            local.with_options(environment=Environment(env={"X": "1"}))(number)

    with pytest.raises((RunFailed, PreflightFailed), match="Define .* at module level"):
        p()


def test_a_worker_that_is_killed_fails_its_step_with_what_was_seen(make_module) -> None:
    flow = make_module("""
        import os, signal
        from dovetail import pipeline, step

        @step(isolated=True)
        def dies() -> int:
            os.kill(os.getpid(), signal.SIGKILL)
            return 1

        @pipeline
        def p():
            dies()
    """)
    with pytest.raises(RunFailed, match="SIGKILL before the step did. It may have run out of memory"):
        flow.p()


def test_a_step_whose_worker_is_killed_is_tried_again(make_module, programs) -> None:
    flow = make_module("""
        import os, signal
        from pathlib import Path
        from dovetail import Retry, pipeline, step

        @step(isolated=True, retry=Retry(max_retries=1))
        def dies_once() -> str:
            if not Path("died").exists():
                Path("died").write_text("")
                os.kill(os.getpid(), signal.SIGKILL)
            return "done"

        @pipeline
        def p():
            dies_once()
    """)
    found = flow.p().steps["dies_once"]
    assert (found.status, found.output.load(), found.attempts, found.outcome["attempt"]) == ("completed", "done", 2, 2)


def test_an_error_in_a_worker_is_told_with_its_traceback(make_module) -> None:
    flow = make_module("""
        from dovetail import pipeline, step

        def deep():
            raise LookupError("nothing there")

        @step(isolated=True)
        def fails() -> int:
            return deep()

        @pipeline
        def p():
            fails()
    """)
    with pytest.raises(RunFailed, match="LookupError: nothing there") as failed:
        flow.p()
    error = failed.value.run.steps["fails"].error
    assert error["type"] == "builtins:LookupError"
    assert "in deep" in error["traceback"] and "dovetail" not in error["traceback"].replace(os.getcwd(), "")


def test_a_worker_runs_the_code_that_the_run_kept_though_the_file_was_edited_since(make_module, programs) -> None:
    flow = make_module("""
        from pathlib import Path
        from dovetail import pipeline, step

        @step
        def edit() -> int:
            source = Path("flow.py").read_text()
            Path("flow.py").write_text(source.replace("as it was", "edited"))
            return 1

        @step(isolated=True)
        def use(before: int) -> str:
            return "as it was"

        @pipeline
        def p():
            use(edit())
    """)
    assert flow.p().steps["use"].output.load() == "as it was"
    assert "edited" in (programs.folder / "flow.py").read_text()


def test_the_orchestrators_processes_option_gives_every_step_a_process(make_module, apply_stack) -> None:
    apply_stack("apart", orchestrator=("local", "apart", {"processes": True}))
    flow = make_module("""
        import os
        from dovetail import pipeline, step

        @step
        def where() -> int:
            return os.getpid()

        @pipeline
        def p():
            where()
    """)
    assert flow.p.with_options(stack="apart")().steps["where"].output.load() != os.getpid()


def test_hooks_of_a_step_in_a_process_are_called_there(make_module, programs) -> None:
    flow = make_module("""
        import os
        from dovetail import RunFailed, pipeline, step

        def note(word):
            with open("hooks.txt", "a") as file:
                file.write(f"{word} {os.getpid()}\\n")

        def started(): note("start")
        def failed(error): note(f"failure:{error}")
        def ended(): note("end")

        @step(isolated=True, on_start=started, on_failure=failed, on_end=ended)
        def fails() -> int:
            raise ValueError("no")

        @pipeline
        def p():
            fails()
    """)
    with pytest.raises(RunFailed):
        flow.p()
    told = [line.split() for line in (programs.folder / "hooks.txt").read_text().splitlines()]
    assert [word for word, _ in told] == ["start", "failure:no", "end"]
    assert {int(pid) for _, pid in told} - {os.getpid()} and len({pid for _, pid in told}) == 1


_AT_MODULE_LEVEL = """
    from dovetail import pipeline, step

    @step(isolated=True)
    def one() -> int:
        with open("ran.txt", "a") as file:
            file.write("x")
        return 1

    @pipeline
    def p():
        one()

    run = p()
"""


def test_a_pipeline_call_at_module_level_runs_nothing_when_a_worker_imports_the_module(programs) -> None:
    programs.write("script.py", _AT_MODULE_LEVEL)
    programs.run("script.py")
    assert (programs.folder / "ran.txt").read_text() == "x"


def test_a_module_that_uses_its_run_while_a_worker_imports_it_is_told_the_cure(programs) -> None:
    programs.write("script.py", _AT_MODULE_LEVEL + "    print(run.status)\n")
    process = programs.start("script.py")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "put what uses the run under `if __name__ == '__main__':`" in told


def test_steps_of_a_generator_function_are_refused_while_tracing() -> None:
    @step
    def counts():  # noqa: ANN202
        yield 1

    @pipeline
    def p() -> None:
        counts()

    with pytest.raises(GraphError, match="return list"):
        p()


def test_a_timeout_counts_from_when_the_step_begins(make_module: Any) -> None:
    """Not from when its worker is started, which imports the step's module first."""
    flow = make_module("""
        import os, time
        from dovetail import pipeline, step

        if "DOVETAIL_TEST_SLOW_IMPORT" in os.environ:
            time.sleep(1.5)

        @step(timeout=1)
        def quick() -> int:
            return 1

        @pipeline
        def p():
            quick()
    """)
    os.environ["DOVETAIL_TEST_SLOW_IMPORT"] = "1"
    try:
        assert flow.p().status == "completed"
    finally:
        del os.environ["DOVETAIL_TEST_SLOW_IMPORT"]
