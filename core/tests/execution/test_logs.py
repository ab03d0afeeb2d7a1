"""What a step prints and logs is kept with it, secrets hidden, while it goes on and after."""

from __future__ import annotations

import logging
import time

import pytest

from dovetail import Client, pipeline, step


def test_print_logging_and_errors_are_kept_in_the_order_in_which_they_came() -> None:
    import sys

    @step
    def speaks() -> int:
        print("one")
        logging.getLogger("lib").warning("two")
        print("three", file=sys.stderr)
        sys.stdout.write("four\n")
        sys.stdout.writelines(["five\n"])
        return 1

    @pipeline
    def p() -> None:
        speaks()

    lines = p().steps["speaks"].log().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["one", "two", "three", "four", "five"]


def test_a_silent_step_has_an_empty_log_and_no_file_for_it(store_root) -> None:
    @step
    def silent() -> int:
        return 1

    @pipeline
    def p() -> None:
        silent()

    assert p().steps["silent"].log() == ""
    assert not list(store_root.rglob("log"))


@pytest.mark.parametrize("options", ["", "(isolated=True)"])
def test_the_log_of_a_step_that_goes_on_can_be_followed(programs, options) -> None:
    programs.write("flow.py", f"""
        import time
        from pathlib import Path
        from dovetail import pipeline, step

        @step{options}
        def slow() -> int:
            print("begun")
            while not Path("go").exists():
                time.sleep(0.02)
            print("over")
            return 1

        @pipeline
        def p():
            slow()

        if __name__ == "__main__":
            p()
    """)
    process = programs.start("flow.py")
    until = time.monotonic() + 20
    seen = ""
    while "begun" not in seen:
        assert time.monotonic() < until
        time.sleep(0.05)
        runs = Client().list_runs(limit=1)
        seen = runs[0].steps["slow"].log() if runs else ""
    (programs.folder / "go").touch()
    process.communicate(timeout=20)
    assert Client().list_runs(limit=1)[0].steps["slow"].log() == "begun\nover\n"


def test_secrets_of_the_stack_are_hidden_in_logs(install_plugin, apply_stack, monkeypatch, store_root, make_module) -> None:
    install_plugin("secretive", """
        from dovetail.components import ExperimentTracker, Secret
        from dovetail.plugin import FlavorSpec, hookimpl

        class Tracker(ExperimentTracker):
            token: Secret
            def start(self, step_run): ...
            def log_params(self, params): ...
            def log_metrics(self, metrics, step): ...
            def finish(self, step_run): ...

        @hookimpl
        def dovetail_experiment_trackers():
            return [FlavorSpec("secretive", "secretive:Tracker")]
    """)
    monkeypatch.setenv("THE_TOKEN", "hunter2-very-secret")
    apply_stack("tracked", experiment_tracker=("secretive", "s", {"token": "${THE_TOKEN}"}))
    flow = make_module("""
        from dovetail import Client, log_metrics, pipeline, step

        def tell() -> int:
            log_metrics(a=1.0)
            print("the token is", Client().active_stack.experiment_tracker.token.reveal())
            return 1

        @step
        def here() -> int:
            return tell()

        @step(isolated=True)
        def there() -> int:
            return tell()

        @pipeline
        def p():
            there(after=[here()])
    """)
    run = flow.p.with_options(stack="tracked")()
    for name in ("here", "there"):
        assert run.steps[name].log() == "the token is ********\n"
    assert not [path for path in store_root.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_a_log_that_holds_any_text_is_kept() -> None:
    @step
    def speaks() -> int:
        print("\u00fc \U0001f600 \ud800 \x00 end")
        return 1

    @pipeline
    def p() -> None:
        speaks()

    import io
    import sys

    before, sys.stdout = sys.stdout, io.StringIO()
    try:
        run = p()
    finally:
        sys.stdout = before
    assert run.steps["speaks"].log().startswith("\u00fc \U0001f600 ")


def test_a_log_record_reads_alike_wherever_its_step_runs(make_module) -> None:
    flow = make_module("""
        import logging
        from dovetail import pipeline, step

        @step
        def speaks() -> int:
            logging.getLogger("oven").warning("it is %s", "hot")
            return 1

        @pipeline
        def p():
            speaks.with_options(id="here")()
            speaks.with_options(id="there", isolated=True)()
    """)
    run = flow.p()
    assert [run.steps[name].log().splitlines()[-1] for name in ("here", "there")] == ["WARNING oven: it is hot"] * 2


def test_the_log_of_a_cached_step_is_that_of_the_run_that_made_it() -> None:
    @step
    def speaks() -> int:
        print("once")
        return 1

    @pipeline
    def p() -> None:
        speaks()

    p()
    again = p()
    assert (again.steps["speaks"].status, again.steps["speaks"].log()) == ("cached", "once\n")
