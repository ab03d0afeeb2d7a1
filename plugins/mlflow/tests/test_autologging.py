"""Autologging is a step's own, on a stack that tracks with MLflow and on others, whatever is turned on or off around it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail_mlflow.tracker import MlflowTracker

_OPTIONS = {"silent": True, "log_models": False}


@pytest.fixture(params=["mlflow", "no tracker"])
def logged(request: pytest.FixtureRequest, project: Any, steps: Any, server: Any) -> Any:
    """Runs a pipeline and gives the parameters that each of its steps logged."""
    components = [MlflowTracker(tracking_uri=server.url)] if request.param == "mlflow" else []

    def logged(pipeline: Any) -> dict[str, Any]:
        run = project.on(*components).run(pipeline)
        assert run.status == "completed", run.steps
        return in_mlflow(server.client(), run) if components else {name: dict(step.params) for name, step in run.steps.items()}

    return logged


def in_mlflow(client: Any, run: Any) -> dict[str, Any]:
    found = client.search_runs([each.experiment_id for each in client.search_experiments()], f"tags.`dovetail.run_id` = '{run.id}'")
    steps = {each.data.tags["dovetail.step"]: each.data.params for each in found if "dovetail.step" in each.data.tags}
    return {name: steps.get(name, {}) for name in run.steps}


@pytest.fixture
def outside() -> Iterator[Any]:
    """MLflow's autologging of scikit-learn outside of steps, which is as if it never was turned on or off after the test."""
    import mlflow

    yield mlflow.sklearn.autolog
    mlflow.sklearn.autolog(disable=True, silent=True)
    mlflow.utils.autologging_utils.AUTOLOGGING_INTEGRATIONS["sklearn"] = {}


def max_iters(params: dict[str, Any]) -> dict[str, Any]:
    return {name: said.get("max_iter") for name, said in params.items()}


def test_what_a_step_turns_on_ends_with_it(logged: Any, steps: Any) -> None:
    from mlflow.utils.autologging_utils import autologging_is_disabled

    assert max_iters(logged(steps.autologging)) == {"turns_it_on": "301", "turns_it_off": None, "leaves_it": None}
    assert autologging_is_disabled("sklearn")


def test_what_is_turned_on_outside_holds_in_steps_that_leave_it(logged: Any, steps: Any, outside: Any) -> None:
    outside(**_OPTIONS)
    assert max_iters(logged(steps.autologging)) == {"turns_it_on": "301", "turns_it_off": None, "leaves_it": "303"}


def test_what_is_turned_off_outside_is_turned_on_by_a_step(logged: Any, steps: Any, outside: Any) -> None:
    outside(disable=True)
    assert max_iters(logged(steps.autologging)) == {"turns_it_on": "301", "turns_it_off": None, "leaves_it": None}


def test_what_is_turned_on_outside_works_there_as_before(logged: Any, steps: Any, outside: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """A step that turned it off has taken the patches out of the library, and one that turned it on has made others."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    outside(**_OPTIONS, extra_tags={"of": "the caller"})
    logged(steps.autologging)
    steps.fit(304)
    (told,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert (told.data.params["max_iter"], told.data.tags["of"]) == ("304", "the caller")


def test_a_library_that_is_imported_later_is_not_autologged(logged: Any, steps: Any) -> None:
    from mlflow.utils.import_hooks import _post_import_hooks

    before = {library: list(hooks) for library, hooks in _post_import_hooks.items() if hooks}
    logged(steps.autologging)
    assert {library: hooks for library, hooks in _post_import_hooks.items() if hooks} == before


def test_steps_at_once_autolog_each_for_itself(project: Any, steps: Any) -> None:
    """On a stack that tracks with MLflow each has a process; here they are threads of one."""
    run = project.on().run(steps.fitting_at_once)
    assert run.status == "completed", [step.outcome for step in run.steps.values()]
    expected = {"fits_beside_others": "201", "fits_plainly_meanwhile": None, "fits_too": "202"}
    assert max_iters({name: step.params for name, step in run.steps.items()}) == expected


def test_the_first_call_of_a_process_may_be_to_autolog(project: Any, steps: Any, tmp_path: Path) -> None:
    script = (
        "import json, sys; from dovetail import Client; from routing_steps import autologging;"
        "run = autologging(); print(json.dumps({name: dict(step.params) for name, step in run.steps.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=project.folder)
    assert done.returncode == 0, done.stderr
    assert max_iters(json.loads(done.stdout.splitlines()[-1])) == {"turns_it_on": "301", "turns_it_off": None, "leaves_it": None}
