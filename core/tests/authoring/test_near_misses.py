"""What is nearly right is told with what was meant."""

from __future__ import annotations

import pytest

from dovetail import Client, pipeline, step
from dovetail.errors import GraphError, NotFound, PreflightFailed


@step
def one() -> int:
    return 1


@step
def length(items: list[int]) -> int:
    return len(items)


@pipeline
def p() -> None:
    one()


def test_settings_for_a_mistyped_component_type_are_refused() -> None:
    @pipeline
    def mistyped() -> None:
        one.with_options(settings={"orchestratr": {"workers": 1}})()

    with pytest.raises(PreflightFailed, match="settings for 'orchestratr'.*Did you mean 'orchestrator'"):
        mistyped()


def test_settings_for_a_flavor_of_another_stack_are_none_of_this_ones_business() -> None:
    @pipeline
    def elsewhere() -> None:
        one.with_options(settings={"vertex": {"machine_type": "n1"}})()

    assert elsewhere().status == "completed"


def test_a_stored_artifact_as_a_parameter_is_told_with_both_ways_to_hand_it_over() -> None:
    p()

    @pipeline
    def taking() -> None:
        length(Client().get_artifact("p.one.output"))

    with pytest.raises(GraphError, match=r"\.load\(\), or ExternalArtifact\(it\.load\(\)\)"):
        taking()


def test_a_value_of_a_step_that_says_it_returns_nothing_is_not_dropped_in_silence() -> None:
    @step
    def nothing() -> None:
        return 5  # type: ignore[return-value]

    @pipeline
    def q() -> None:
        nothing()

    with pytest.warns(UserWarning, match="annotated to return nothing, so its value is not kept, though it is a builtins:int"):
        q()


def test_the_latest_run_is_found_by_that_word() -> None:
    with pytest.raises(NotFound, match="There is no run 'latest'"):
        Client().get_run("latest")
    runs = [p(), p()]
    assert Client().get_run("latest").id == runs[1].id
