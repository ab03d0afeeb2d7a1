"""One process that has imported everything, and forks a case for each N.

    python sweep.py WORK PIPELINE MODE WHAT START STRIDE LIMIT

A case runs the pipeline in a child that breaks at its N-th file operation, looks at what is left with the independent checker,
reads it as any reader does, resumes it, and looks again. Each case is told as a line of JSON; the last line is what ended the sweep.
WHAT is broken: `run`, its `worker` process, or `resume` or `read` (of a run that was killed half-way before).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import checker
import scenario
from faults import Fault

AT_ONCE = 2
HALFWAY = {"whole": 150, "with_worker": 80, "with_operator": 80}
FAR = ("FAULT", "FAULTS", "FAULT_FIRED", "EXECUTED", "PYTHONPATH")  # what the step operator hands to its workers


def in_child(work: Callable[[], Any], told: Path) -> tuple[Any, int]:
    """What `work` came to in a forked process, and how that ended; None where it could not tell."""
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            found = work()
            told.write_text(json.dumps(found), encoding="utf-8")
            code = 0
        except BaseException:  # noqa: BLE001
            told.with_suffix(".error").write_text(traceback.format_exc(), encoding="utf-8")
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return (json.loads(told.read_text(encoding="utf-8")) if told.exists() else None), os.waitstatus_to_exitcode(status)


class Case:
    """One N. `problems` is everything that should not be."""

    def __init__(self, work: Path, pipeline: str, mode: str, what: str, number: int) -> None:
        self.home = work / f"{pipeline}-{what}-{mode}-{number}"
        self.store = self.home / "store"
        self.pipeline, self.mode, self.what, self.number = pipeline, mode, what, number
        self.problems: list[str] = []
        self.told = self.home / "told.json"

    def go(self) -> dict[str, Any]:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.home.parent / "template", self.home)
        os.environ.update(DOVETAIL_HOME=str(self.home), DOVETAIL_CACHE=str(self.home / "cache"), EXECUTED=str(self.home / "executed"))
        for name in FAR:
            os.environ.setdefault(name, "")
        if self.what in ("resume", "read"):
            in_child(lambda: self.run(Fault(str(self.store), "kill", HALFWAY[self.pipeline])), self.told)
        step = {"run": self.run, "worker": self.run_with_broken_worker, "resume": self.resume, "read": self.read}[self.what]
        fault = Fault(str(self.store), self.mode, self.number)
        broken, code = in_child(lambda: step(fault), self.told)
        fired = code == -9 if self.mode in ("kill", "torn") else bool(broken and broken["fired"])
        if self.what == "worker":
            fired = (self.home / "fired").exists()
        if code not in (0, -9):
            self.wrong(f"the process that was to break ended with {code}: {self._error()}")
        if self.number % 2:
            self.wait_for_workers()  # else they go on while it is read and resumed
        self.look("after the fault")
        committed = self.committed()
        before = self.executions()
        seen = self.ask("the reader", self.read)
        self.expect(seen, fired)
        self.look("after reading")
        ended = self.ask("the one that resumes", self.resume)
        if ended is not None and ended["status"] not in ("completed", "cached"):
            self.wrong(f"after resuming, the run has {ended['status']}: {ended}")
        self.wait_for_workers()
        self.look("after resuming")
        self.not_repeated(committed, before)
        self.verify()
        if not self.problems:
            shutil.rmtree(self.home, ignore_errors=True)
        hit = broken["fired"] if broken else None
        return {"n": self.number, "fired": fired, "hit": hit, "seen": seen and seen["status"], "problems": self.problems}

    def wait_for_workers(self) -> None:
        """Those of the step operator outlive who started them."""
        until = time.monotonic() + 60
        while any(self.home.name.encode() in line for line in command_lines()):
            if time.monotonic() > until:
                return self.wrong("a worker elsewhere does not end")
            time.sleep(0.05)

    # -- what is done in children --------------------------------------------------------------------------------------

    def run(self, fault: Fault | None = None) -> dict[str, Any]:
        from dovetail import RunFailed
        from dovetail.errors import DovetailError

        if fault is not None and "BREAK_FIRST" in os.environ:
            os.environ["BREAK"] = "1"
        if fault is not None:
            fault.install()
        error = None
        try:
            status = getattr(scenario, self.pipeline).with_options(stack="crash")().status.value
        except RunFailed as failed:
            status, error = "failed", str(failed)
        except (OSError, DovetailError, KeyboardInterrupt) as failed:
            status, error = "raised", f"{type(failed).__name__}: {failed}"
        return {"status": status, "error": error, "fired": fault.fired if fault else None}

    def run_with_broken_worker(self, fault: Fault) -> dict[str, Any]:
        here = Path(__file__).parent
        os.environ.update(FAULT=f"{fault.mode}:{fault.number}:{fault.root}", FAULTS=str(here), FAULT_FIRED=str(self.home / "fired"))
        os.environ["PYTHONPATH"] = os.pathsep.join([str(here / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        return self.run()

    def read(self, fault: Fault | None = None) -> dict[str, Any]:
        from dovetail import Client

        if fault is not None:
            fault.install()
        try:
            runs = Client(stack="crash").list_runs()
            steps = {name: found.status.value for name, found in runs[0].steps.items()} if runs else {}
            return {"status": runs[0].status.value if runs else None, "steps": steps, "count": len(runs), "fired": fault.fired if fault else None}
        except OSError as error:
            return {"status": "raised", "error": str(error), "fired": fault.fired if fault else None}

    def resume(self, fault: Fault | None = None) -> dict[str, Any]:
        """The newest run, or a new one where nothing was ever recorded."""
        from dovetail import Client
        from dovetail.execution.driving import resume_recorded, run_address

        if fault is not None:
            fault.install()
        try:
            client = Client(stack="crash")
            runs = client.list_runs()
            if not runs:
                return self.run(None)
            if not runs[0].status.is_success:
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115
                resume_recorded(run_address(client.workspace, runs[0].id), json.dumps(client.workspace.stack.snapshot()))
            found = Client(stack="crash").list_runs()[0]
            errors = [step.error for step in found.steps.values() if step.error]
            return {"status": found.status.value, "errors": errors, "fired": fault.fired if fault else None}
        except OSError as error:
            return {"status": "raised", "error": str(error), "fired": fault.fired if fault else None}

    # -- what must hold ------------------------------------------------------------------------------------------------

    def wrong(self, sentence: str) -> None:
        self.problems.append(sentence)

    def ask(self, who: str, work: Callable[[], Any]) -> Any:
        found, code = in_child(work, self.told)
        if code != 0:
            self.wrong(f"{who} ended with {code}: {self._error()}")
        return found

    def look(self, when: str) -> None:
        self.problems += [f"{when}: {problem}" for problem in checker.check(self.store)]

    def expect(self, seen: dict[str, Any] | None, fired: bool) -> None:
        if seen is None:
            return
        recorded = list(self.store.glob("runs/*/*/run.json"))
        if not recorded and seen["status"] is not None:
            self.wrong(f"a run that was never recorded is seen as {seen['status']}")
        if recorded and seen["status"] is None:
            self.wrong("a run that was recorded is not seen")
        endings = ("cancelled", "interrupted", "completed") if self.mode == "sigint" else ("interrupted", "completed", "cached", "failed")
        if recorded and seen["status"] not in endings:
            self.wrong(f"the run is seen as {seen['status']}")
        breaks = "BREAK_FIRST" in os.environ
        if self.what == "run" and self.mode in ("kill", "torn") and seen["status"] == "failed" and not breaks:
            self.wrong(f"a killed run is seen as failed: {seen}")
        if not fired and seen["status"] != ("failed" if breaks else "completed") and self.what == "run":
            self.wrong(f"without a fault the run is seen as {seen}")

    def committed(self) -> set[str]:
        """Steps with a completed outcome, by what the files say."""
        outcomes = ((path.parent.name, json.loads(path.read_text())) for path in self.store.glob("runs/*/*/steps/*/outcome.json"))
        return {name for name, outcome in outcomes if outcome["status"] == "completed"}

    def executions(self) -> Counter[str]:
        path = self.home / "executed"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return Counter(line.split()[0] for line in lines)

    def not_repeated(self, committed: set[str], before: Counter[str]) -> None:
        after = self.executions()
        for name in committed:
            if after[name] != before[name]:
                self.wrong(f"step {name} had been committed, and was executed {after[name] - before[name]} times more")
        for name, count in after.items():
            attempts = 2 if name == "flaky" else 1
            rounds = 2 if self.what == "run" else 3
            if count > rounds * attempts:
                self.wrong(f"step {name} was executed {count} times")

    def verify(self) -> None:
        found = self.ask("verify", self._verified)
        if found:
            self.wrong(f"verify finds {found}")

    def _verified(self) -> list[str]:
        from dovetail import Client
        from dovetail.ledger.verifying import verify

        return [finding.problem for finding in verify(Client(stack="crash").ledger).findings]

    def _error(self) -> str:
        path = self.told.with_suffix(".error")
        return path.read_text(encoding="utf-8")[-1500:] if path.exists() else "it said nothing"


def command_lines() -> Iterator[bytes]:
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield found.read_bytes()


def warm(work: Path) -> None:
    """Import all that a run needs, in a process that has no other thread and so can be forked."""
    case = Case(work, "whole", "kill", "warm", 0)
    shutil.copytree(work / "template", case.home, dirs_exist_ok=True)
    os.environ.update(DOVETAIL_HOME=str(case.home), DOVETAIL_CACHE=str(case.home / "cache"), EXECUTED=str(case.home / "executed"))
    for name in FAR:
        os.environ.setdefault(name, "")

    def modules() -> list[str]:
        found = [case.run(), case.read(), case.resume(), case._verified()]
        if found[0]["status"] != "completed":
            raise RuntimeError(str(found))
        return sorted(sys.modules)

    names, code = in_child(modules, case.told)
    if code != 0:
        raise RuntimeError(case._error())
    for name in names:
        try:
            __import__(name)
        except ImportError:
            continue
    shutil.rmtree(case.home)


def main() -> None:
    work, pipeline, mode, what = Path(sys.argv[1]), *sys.argv[2:5]
    start, stride, limit = map(int, sys.argv[5:8])
    warm(work)
    running: dict[int, tuple[int, int]] = {}
    number, ended = start, False
    while running or not ended:
        while not ended and len(running) < AT_ONCE and number <= limit:
            read, write = os.pipe()
            case = Case(work, pipeline, mode, what, number)
            child = os.fork()
            if child == 0:
                with os.fdopen(write, "w") as out:
                    out.write(json.dumps(case.go()))
                os._exit(0)
            os.close(write)
            running[child] = (number, read)
            number += stride
        if not running:
            break
        child = next(iter(running))
        at, read = running.pop(child)
        with os.fdopen(read) as out:
            line = out.read()
        os.waitpid(child, 0)
        result = json.loads(line) if line else {"n": at, "fired": True, "problems": ["the case itself died"]}
        ended = ended or not result["fired"]
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
