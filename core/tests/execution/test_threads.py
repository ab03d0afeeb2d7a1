"""Steps of one process: threads by default, a chain where the caller is, and nothing that leaks from one to another."""

from __future__ import annotations

import contextvars
import logging
import os
import sys
import threading
import time

from dovetail import Client, Environment, get_step_context, log_metadata, log_metrics, pipeline, step


def test_independent_steps_run_at_once_in_threads_of_this_process() -> None:
    meeting = threading.Barrier(3, timeout=10)

    @step
    def meet(number: int) -> list[int]:
        meeting.wait()  # broken unless all three are here together
        return [os.getpid(), threading.get_ident()]

    @pipeline
    def three() -> None:
        for number in range(3):
            meet(number)

    steps = three().steps
    places = [steps[name].output.load() for name in ("meet", "meet_2", "meet_3")]
    assert {pid for pid, _ in places} == {os.getpid()}
    assert len({thread for _, thread in places}) == 3


def test_a_chain_runs_in_the_callers_thread() -> None:
    @step
    def first() -> int:
        return threading.get_ident()

    @step
    def then(before: int) -> list[int]:
        return [before, threading.get_ident()]

    @pipeline
    def chain() -> None:
        then(then_first())

    then_first = first
    assert chain().steps["then"].output.load() == [threading.get_ident()] * 2


def test_no_more_steps_run_at_once_than_the_orchestrator_has_workers(apply_stack) -> None:
    apply_stack("narrow", orchestrator=("local", "two", {"workers": 2}))
    lock, running, most = threading.Lock(), [0], [0]

    @step
    def work(number: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.03)
        with lock:
            running[0] -= 1
        return number

    @pipeline
    def six() -> None:
        for number in range(6):
            work(number)

    six.with_options(stack="narrow")()
    assert most[0] == 2


def test_what_steps_print_and_log_at_once_reaches_each_ones_own_log_alone() -> None:
    meeting = threading.Barrier(4, timeout=10)

    @step
    def speak(number: int) -> int:
        for _ in range(20):
            print(f"out-{number}")
            print(f"err-{number}", file=sys.stderr)
            logging.getLogger("theirs").error("logged-%d", number)
            meeting.wait()
        return number

    @pipeline
    def four() -> None:
        for number in range(4):
            speak(number, id=f"s{number}")

    run = four()
    for number in range(4):
        lines = run.steps[f"s{number}"].log().splitlines()
        assert len(lines) == 60
        assert {line.rpartition("-")[2] for line in lines} == {str(number)}


def test_what_a_step_prints_still_reaches_the_screen_and_the_streams_are_put_back(capsys) -> None:
    before = sys.stdout, sys.stderr, list(logging.getLogger().handlers)

    @step
    def speak() -> None:
        print("to the screen")

    @pipeline
    def alone() -> None:
        speak()

    run = alone()
    assert "to the screen" in capsys.readouterr().out
    assert run.steps["speak"].log() == "to the screen\n"
    assert (sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before


def test_a_thread_that_a_lone_step_starts_belongs_to_that_step() -> None:
    @step
    def delegate() -> int:
        worker = threading.Thread(target=lambda: (print("from a thread"), log_metrics(inner=1.0)))
        worker.start()
        worker.join()
        return 1

    @pipeline
    def alone() -> None:
        delegate()

    found = alone().steps["delegate"]
    assert found.log() == "from a thread\n"
    assert found.metrics == {"inner": 1.0}


def test_metrics_metadata_and_context_of_steps_that_run_at_once_stay_apart() -> None:
    meeting = threading.Barrier(3, timeout=10)

    @step
    def note(number: int) -> str:
        meeting.wait()
        log_metrics(seen=float(number))
        log_metadata({"who": number})
        meeting.wait()
        return get_step_context().step_name

    @pipeline
    def three() -> None:
        for number in range(3):
            note(number, id=f"n{number}")

    run = three()
    for number in range(3):
        found = run.steps[f"n{number}"]
        assert (found.output.load(), found.metrics, found.metadata) == (f"n{number}", {"seen": number}, {"who": number})


def test_a_context_variable_set_in_a_step_is_not_seen_by_another(apply_stack) -> None:
    apply_stack("single", orchestrator=("local", "one", {"workers": 1}))
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("of_a_step", default="clean")

    @step
    def mark(number: int) -> str:
        seen = variable.get()
        variable.set(f"marked by {number}")
        return seen

    @pipeline
    def several() -> None:
        before = [mark(number, id=f"m{number}") for number in range(3)]  # in one pooled thread
        mark(9, id="last", after=before)  # inline

    run = several.with_options(stack="single")()
    assert {found.output.load() for found in run.steps.values()} == {"clean"}
    assert variable.get() == "clean"


def test_environment_variables_of_a_lone_step_are_gone_when_it_ends() -> None:
    os.environ["DOVETAIL_TEST_OTHER"] = "kept"

    @step(environment=Environment(env={"DOVETAIL_TEST_OTHER": "changed", "DOVETAIL_TEST_NEW": "new"}))
    def look() -> list[str]:
        return [os.environ["DOVETAIL_TEST_OTHER"], os.environ["DOVETAIL_TEST_NEW"], str(os.getpid())]

    @step
    def after(before: list[str]) -> list[str]:
        return [os.environ["DOVETAIL_TEST_OTHER"], os.environ.get("DOVETAIL_TEST_NEW", "none")]

    @pipeline
    def chain() -> None:
        after(look())

    try:
        run = chain()
        assert run.steps["look"].output.load() == ["changed", "new", str(os.getpid())]
        assert run.steps["after"].output.load() == ["kept", "none"]
        assert os.environ["DOVETAIL_TEST_OTHER"] == "kept"
    finally:
        del os.environ["DOVETAIL_TEST_OTHER"]


def test_values_are_loaded_anew_by_every_consumer() -> None:
    @step
    def make() -> dict[str, int]:
        return {"n": 1}

    @step
    def spoil(given: dict[str, int]) -> int:
        given["n"] = 99
        return 0

    @step
    def use(given: dict[str, int]) -> int:
        return given["n"]

    @pipeline
    def both() -> None:
        made = make()
        use(made, after=[spoil(made)])

    assert both().steps["use"].output.load() == 1


def test_two_pipelines_run_by_two_threads_of_a_program_do_not_mix() -> None:
    meeting = threading.Barrier(2, timeout=10)

    @step
    def say(word: str) -> str:
        meeting.wait()
        print(word)
        meeting.wait()
        return get_step_context().run_name

    @pipeline
    def speak(word: str) -> None:
        say(word)

    runs: dict[str, object] = {}
    threads = [
        threading.Thread(target=lambda word=word: runs.setdefault(word, speak.with_options(run_name=f"run-{word}")(word)))
        for word in ("red", "blue")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for word in ("red", "blue"):
        found = Client().get_run(f"run-{word}").steps["say"]
        assert (found.log(), found.output.load()) == (f"{word}\n", f"run-{word}")


def test_environment_variables_do_not_leak_between_two_runs_of_one_program(make_module) -> None:
    flow = make_module("""
        import os, time
        from dovetail import Environment, pipeline, step

        @step(environment=Environment(env={"LEAK": "red"}))
        def set_it() -> str:
            time.sleep(0.4)
            return os.environ["LEAK"]

        @step
        def look() -> str:
            time.sleep(0.2)
            return os.environ.get("LEAK", "none")

        @pipeline
        def setting():
            set_it()

        @pipeline
        def looking():
            look()
    """)
    runs = {}
    threads = [threading.Thread(target=lambda each=each: runs.setdefault(each.name, each())) for each in (flow.setting, flow.looking)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs["setting"].steps["set_it"].output.load() == "red"
    assert runs["looking"].steps["look"].output.load() == "none"


def test_what_dovetail_itself_opens_for_one_step_is_no_reading_of_another_that_runs(make_module, programs) -> None:
    programs.write("data.csv", "1,2\n")
    flow = make_module("""
        import threading
        from pathlib import Path
        from dovetail import pipeline, step

        begun, over = threading.Event(), threading.Event()

        @step(enable_cache=False)
        def long() -> int:
            begun.set()
            assert over.wait(10)
            return 1

        @step(enable_cache=False)
        def first() -> int:
            assert begun.wait(10)
            return 1

        @step
        def reads(before: int, path: Path) -> str:
            return path.read_text()

        @step(enable_cache=False)
        def last(given: str) -> int:
            over.set()
            return 1

        @pipeline
        def both():
            long()
            last(reads(first(), Path("data.csv")))
    """)
    for _ in range(2):  # the second time `reads` is looked up in the cache while `long` runs
        flow.begun.clear()
        flow.over.clear()
        run = flow.both()
        assert "readings" not in run.steps["long"].outcome
    assert run.steps["reads"].status == "cached"


def test_scopes_can_be_entered_and_left_by_many_threads_at_once() -> None:
    from dovetail.execution.scope import StepScope, entered, running
    from dovetail.values.context import StepRun

    class Slow(StepRun):
        """One whose comparison lets other threads in."""

        def __eq__(self, other: object) -> bool:
            time.sleep(0)
            return self is other

        __hash__ = object.__hash__

    wrong: list[str] = []

    def work(number: int) -> None:
        scope = StepScope(None, Slow("r", "r", "p", str(number), "s"))
        try:
            for _ in range(300):
                with entered(scope):
                    scope.log.append("x")
                    if scope not in running("r"):
                        wrong.append("not seen")
        except Exception as error:  # noqa: BLE001
            wrong.append(repr(error))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert running("r") == []
