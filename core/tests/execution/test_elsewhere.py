"""Workers elsewhere that die, freeze or are sent away: it is noticed, it is retried where that was asked, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dovetail import Client, RunFailed
from dovetail.ledger import layout
from dovetail.ledger.verifying import verify

_DYING = """
    import os, signal, time
    from pathlib import Path
    from dovetail import Retry, get_step_context, log_metrics, pipeline, step

    PLACE = Path(os.environ.get("PLACE", "."))

    @step
    def first() -> int:
        return 20

    def dying_at_first(x):
        log_metrics(attempt=get_step_context().attempt)
        if get_step_context().attempt == 1:
            print("its last words")
            time.sleep(2.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return x * 2

    @step
    def once(x: int) -> int:
        return dying_at_first(x)

    @step(retry=Retry(max_retries=1))
    def twice(x: int) -> int:
        return dying_at_first(x)

    @step(retry=Retry(max_retries=2, on=ValueError))
    def on_value_errors(x: int) -> int:
        return dying_at_first(x)

    @step
    def after(x: int) -> int:
        return x + 2

    @pipeline
    def p(which: str = "once"):
        after({"once": once, "twice": twice, "on_value_errors": on_value_errors}[which](first(), id="dying"))
"""


def sound(check_store, store_root: Path) -> bool:
    assert check_store(store_root) == []
    assert verify(Client().ledger).findings == ()
    return True


def test_a_worker_that_is_killed_fails_its_step_and_says_how_it_ended_with_its_last_words(elsewhere, make_module, check_store, store_root) -> None:
    with pytest.raises(RunFailed, match="WorkerLost.*exit code -9"):
        make_module(_DYING).p()
    run = Client().list_runs()[0]
    assert (run.status, run.steps["dying"].status, run.steps["after"].status) == ("failed", "failed", "skipped")
    assert run.steps["dying"].error["type"] == "dovetail.errors:WorkerLost"
    assert "its last words" in run.steps["dying"].error["message"]
    assert run.steps["dying"].log() == "its last words\n"
    assert sound(check_store, store_root)


@pytest.mark.parametrize("which", ["twice", "on_value_errors"])
def test_a_step_whose_worker_was_killed_is_retried_whatever_errors_it_is_retried_on(elsewhere, make_module, check_store, store_root, which) -> None:
    run = make_module(_DYING).p(which)
    dying = run.steps["dying"]
    assert (run.status, dying.attempts, dying.output.load(), dying.metrics) == ("completed", 2, 40, {"attempt": 2.0})
    assert run.steps["after"].output.load() == 42
    assert dying.outcome["attempt"] == 2
    assert Client().ledger.run(run.id).attempt("dying", 1, "ended")["error"]["type"] == "dovetail.errors:WorkerLost"
    assert sound(check_store, store_root)
