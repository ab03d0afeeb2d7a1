"""What `stack check` finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dovetail.registry import Registry
from dovetail.stack import ComponentSpec, Stack, check_stack
from dovetail.stack.checks import _all_found, _Check
from dovetail.values.project import Project

Make = Callable[..., Stack]


def test_a_stack_that_can_be_used_has_no_problems(make_stack: Make) -> None:
    assert check_stack(make_stack()) == []


def test_an_orchestrator_and_an_artifact_store_are_obligatory(project: Project, registry: Registry) -> None:
    problems = check_stack(Stack("s", [], registry=registry, project=project))
    assert [problem.split(".")[0] for problem in problems] == ["Stack 's' has no orchestrator", "Stack 's' has no artifact store"]
    assert "`dovetail stack update s --artifact-store NAME`" in problems[1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"worker": 1}, "Experiment tracker 't' (flavor acme): it has no field 'worker'"),
        ({"ratio": "much"}, "'ratio' is wrong"),
        ({"api_key": "{{ acme.key }}"}, "no secret 'acme'"),
        ({"api_key": "${KEY}"}, "${KEY}, which is not set"),
        ({"api_key": "literal-secret"}, "must be a reference"),
        ({"project": "raises"}, "Experiment tracker 't' could not be checked: OSError: no route"),
        ({"project": "forbidden"}, "cannot be made: no entry"),
    ],
)
def test_what_is_wrong_with_a_component_is_one_sentence(make_stack: Make, fields: dict[str, Any], said: str) -> None:
    (problem,) = check_stack(make_stack(**fields))
    assert said in problem
    assert "literal-secret" not in problem


def test_everything_is_reported_not_the_first_only(make_stack: Make) -> None:
    stack = make_stack(ComponentSpec("model_deployer", "rocket", "r"), ratio="much", worker=1)
    assert len(check_stack(stack)) == 3


def test_a_problem_never_holds_a_secret(make_stack: Make) -> None:
    for project in ("refused", "raises", "forbidden"):
        (problem,) = check_stack(make_stack(project=project, api_key="${KEY}", environ={"KEY": "very-secret"}))
        assert "********" in problem
        assert "very-secret" not in problem


def test_a_component_that_does_not_answer_is_reported_in_time(make_stack: Make) -> None:
    started = time.monotonic()
    (problem,) = check_stack(make_stack(project="hangs"), deadline=0.2)
    assert time.monotonic() - started < 5
    assert "Experiment tracker 't' did not answer within 0.2 s" in problem


def test_a_component_that_hangs_while_it_is_made_hides_no_others_problem(make_stack: Make, secrets: Any) -> None:
    (problem, other) = check_stack(
        make_stack(ComponentSpec("model_deployer", "rocket", "r"), project="hangs when made"), deadline=0.3
    )
    assert "Experiment tracker 't' did not answer" in problem
    assert "no model deployer flavor 'rocket'" in other


@pytest.mark.parametrize(("flavor", "said"), [("acme", "does not honour create-if-absent"), ("plain", "names no atomic create")])
def test_a_stores_own_check_cannot_replace_the_proof_that_it_creates_atomically(
    project: Project, registry: Registry, flavor: str, said: str
) -> None:
    specs = [ComponentSpec("orchestrator", "acme", "o"), ComponentSpec("artifact_store", flavor, "a")]
    (problem,) = check_stack(Stack("s", specs, registry=registry, project=project))
    assert said in problem


def test_components_that_do_not_answer_share_one_deadline(make_stack: Make) -> None:
    stack = make_stack()
    spec = stack.components["experiment_tracker"]
    started = time.monotonic()
    problems = _all_found(stack, [_Check(stack, spec, lambda *_: time.sleep(5) or []) for _ in range(6)], 0.5)
    assert time.monotonic() - started < 2
    assert len(problems) == 6
