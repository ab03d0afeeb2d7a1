"""What reaches a worker elsewhere and what does not, what it leaves in the log, and that secrets show nowhere."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from dovetail import Client, RunFailed, pipeline, step
from dovetail.ledger.runs import RunRecords
from dovetail.local import step_operator
from dovetail.planning.workspace import open_workspace

_LOOKING = """
    import os, sys
    from dovetail import pipeline, step

    @step(enable_cache=False)
    def look() -> list:
        return [dict(os.environ), os.getcwd(), sys.path, sys.argv]

    @pipeline
    def p():
        look()
"""


def test_nothing_of_the_submitters_surroundings_reaches_a_worker_but_what_is_stated(elsewhere, make_module, isolated, monkeypatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PYTHONSTARTUP", "DOVETAIL_STACK_OF_MINE", "OWN"):
        monkeypatch.setenv(name, "of-the-submitter")
    monkeypatch.syspath_prepend(str(isolated / "of-the-submitter"))
    environ, folder, path, arguments = make_module(_LOOKING).p().steps["look"].output.load()
    here = open_workspace().project.root
    assert set(environ) - {name for name in environ if name.startswith("COVERAGE_")} <= {
        "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "DOVETAIL_HOME", "DOVETAIL_CACHE", "DOVETAIL_PLUGINS",
        "PYTHONPATH", "PLACE", "BEAT", "PWD", "OLDPWD", "SHLVL",
    }  # fmt: skip
    assert "of-the-submitter" not in json.dumps([environ, folder, path, arguments])
    assert not folder.startswith(str(here))
    assert not [entry for entry in path if entry.startswith(str(here))]


def test_a_worker_that_cannot_import_its_step_commits_that_with_the_cure(elsewhere, make_module, monkeypatch) -> None:
    monkeypatch.setenv("HAS_THE_LIBRARY", "yes")  # as the submitter and its check have it
    flow = make_module(_LOOKING + """
    if "HAS_THE_LIBRARY" not in os.environ:
        import a_library_of_the_submitter
    """)
    with pytest.raises(RunFailed, match="No module named 'a_library_of_the_submitter'"):
        flow.p()
    look = Client().list_runs()[0].steps["look"]
    assert (look.status, look.attempts, look.error["type"]) == ("failed", 1, "dovetail.errors:ConfigurationError")
    assert "what it imports is installed" in look.error["message"]


# -- logs --------------------------------------------------------------------------------------------------------------

_SAYING = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from dovetail import pipeline, step

    PLACE = Path(os.environ.get("PLACE", "."))

    @step(enable_cache=False)
    def says() -> int:
        print("by print")
        print("to stderr", file=sys.stderr)
        os.write(1, b"by descriptor\\n")
        subprocess.run(["echo", "by another program"])
        (PLACE / "pid").write_text(str(os.getpid()))
        while not (PLACE / "go").exists():
            time.sleep(0.02)
        print("at the end")
        return 1

    @pipeline
    def p():
        says()

    if __name__ == "__main__":
        p()
"""


def test_all_that_a_step_said_before_its_worker_was_killed_is_in_its_log(elsewhere, programs, until) -> None:
    programs.write("flow.py", _SAYING)
    process = programs.start("flow.py")
    worker = elsewhere.pid()
    step = Client().list_runs()[0].steps["says"]
    until(lambda: "by another program" in step.log(), 30)
    assert elsewhere.alive(worker)
    os.kill(worker, signal.SIGKILL)
    process.communicate(timeout=60)
    assert sorted(step.log().splitlines()) == ["by another program", "by descriptor", "by print", "to stderr"]


def test_the_log_of_a_step_elsewhere_is_followed_from_another_process_while_it_runs(elsewhere, programs) -> None:
    programs.write("flow.py", _SAYING)
    process = programs.start("flow.py")
    elsewhere.pid()
    run = Client().list_runs()[0]
    follow = f"import sys; sys.argv = ['dovetail', 'runs', 'logs', {run.id!r}, '--follow']; from dovetail.cli import main; main()"
    follower = programs.start("-c", follow)
    try:
        seen = ""
        while "by another program" not in seen:
            line = follower.stdout.readline()
            assert line, follower.stderr.read()
            seen += line
        assert "at the end" not in seen
        assert not Client().get_run(run.id).status.is_final
        elsewhere.let("go")
        rest, _ = follower.communicate(timeout=60)
        assert "at the end" in rest
        process.communicate(timeout=60)
    finally:
        for each in (follower, process):
            each.kill()
            each.communicate()


def test_a_chunk_of_a_log_that_the_store_did_not_take_or_did_not_say_it_took_is_there_once(monkeypatch) -> None:
    add, answers = RunRecords.add_log, ["lost before", "lost after"]

    def add_log(self, *given) -> None:
        answer = answers.pop(0) if answers else ""
        if answer != "lost before":
            add(self, *given)
        if answer:
            raise ConnectionError("the store is away")

    monkeypatch.setattr(RunRecords, "add_log", add_log)

    @step(enable_cache=False)
    def counts() -> int:
        for number in range(100):
            print(number)
            time.sleep(0.05)
        return 1

    @pipeline
    def p() -> None:
        counts()

    assert p().steps["counts"].log().split() == [str(number) for number in range(100)]
    assert answers == []


# -- secrets -----------------------------------------------------------------------------------------------------------

KEPT, SET = "pl4nted-in-the-secret-store", "pl4nted-in-a-variable"

_WHISPERING = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from dovetail import get_step_context, log_metrics, pipeline, step

    PLACE = Path(os.environ.get("PLACE", "."))

    @step(experiment_tracker=True, enable_cache=False)
    def whispers(how: str) -> int:
        log_metrics(a=1)
        key = (PLACE / "key").read_text()
        (PLACE / "inherited").write_text(subprocess.run(["env"], capture_output=True, text=True).stdout)
        (PLACE / "cmdline").write_bytes(Path(f"/proc/{os.getpid()}/cmdline").read_bytes())
        print("it says", key)
        if how == "raises":
            raise ValueError(f"no entry with {key}")
        if how == "dies":
            time.sleep(1.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    @pipeline
    def p(how: str):
        whispers(how)

    if __name__ == "__main__":
        p(sys.argv[1])
"""


@pytest.mark.parametrize(("secret", "how", "stack"), [(KEPT, "returns", "kept"), (KEPT, "raises", "kept"), (KEPT, "dies", "kept"), (SET, "dies", "set"), (SET, "returns", "operator")])
def test_a_secret_reaches_the_worker_that_needs_it_and_shows_nowhere(
    elsewhere, programs, apply_stack, isolated, monkeypatch, secret, how, stack
) -> None:
    operated = stack == "operator"
    given = {"key": "{{ tracker.key }}" if secret == KEPT else "${TRACKER_KEY}"}
    given["endpoint"] = f"https://{given['key']}@tracker"
    variables = {"PYTHONPATH": os.environ["PYTHONPATH"], "PLACE": str(elsewhere.place)}
    runner = {"step_operator": ("local", "away", {"variables": variables})} if operated else {"orchestrator": ("engine", "engine", {"variables": variables})}
    apply_stack(stack, experiment_tracker=("keyed", "keyed", given), **runner)
    programs.run("-c", f"import sys; sys.argv = ['dovetail', 'secret', 'set', 'tracker', 'key={KEPT}']; from dovetail.cli import main; main()")
    (elsewhere.place / "key").write_text(secret)
    programs.write("flow.py", _WHISPERING.replace("@step(", "@step(step_operator=True, ") if operated else _WHISPERING)
    env = {"DOVETAIL_STACK": stack, "TRACKER_KEY": SET, "DOVETAIL_QUIET": ""}
    process = programs.start("flow.py", how, env=env)
    said = "".join(process.communicate(timeout=60))
    monkeypatch.setenv("TRACKER_KEY", SET)
    run = Client(stack=stack).list_runs()[0]
    assert run.status == ("completed" if how == "returns" else "failed"), said
    assert "tracker_errors" not in run.steps["whispers"].outcome
    assert "it says ********" in run.steps["whispers"].log()
    for command in (["runs", "show", run.id], ["runs", "show", run.id, "--output", "json"], ["runs", "logs", run.id], ["stack", "describe", stack]):
        said += programs.run("-c", f"import sys; sys.argv = ['dovetail', *{command!r}]; from dovetail.cli import main; main()", env=env)
    assert secret not in said
    (elsewhere.place / "key").unlink()
    allowed = isolated / "user" / ".dovetail" / "secrets"
    found = [file for file in isolated.rglob("*") if file.is_file() and not file.is_relative_to(allowed) and secret.encode() in file.read_bytes()]
    assert [file.relative_to(isolated) for file in found if file.name != "inherited" or secret == KEPT] == []
    assert "DOVETAIL_SECRETS" not in (elsewhere.place / "inherited").read_text()


def test_the_engines_own_log_has_no_secret_either_also_of_components_that_the_step_does_not_use(elsewhere, make_module, apply_stack, monkeypatch, programs) -> None:
    apply_stack("kept", experiment_tracker=("keyed", "keyed", {"key": "{{ tracker.key }}"}), orchestrator=("engine", "engine", {
        "variables": {"PYTHONPATH": os.environ["PYTHONPATH"], "PLACE": str(elsewhere.place)},
    }))  # fmt: skip
    programs.run("-c", f"import sys; sys.argv = ['dovetail', 'secret', 'set', 'tracker', 'key={KEPT}']; from dovetail.cli import main; main()")
    (elsewhere.place / "key").write_text(KEPT)
    said: list[str] = []
    close = step_operator._ProcessInFolder.close
    monkeypatch.setattr(step_operator._ProcessInFolder, "close", lambda self: said.append(self.explain()) or close(self))
    without_tracker = _WHISPERING.replace("experiment_tracker=True, ", "").replace("        log_metrics(a=1)\n", "")
    run = make_module(without_tracker).p.with_options(stack="kept")("returns")
    assert said == ["It said last:\nit says ********"]
    assert run.steps["whispers"].log() == "it says ********\n"
