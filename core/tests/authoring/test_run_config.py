"""A run configuration says of one run what the code would say, and a mistake in it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovetail import get_step_context, pipeline, step
from dovetail.errors import ConfigurationError, GraphError


@step
def scaled(x: int, factor: float) -> float:
    return x * factor


@step(enable_cache=True)
def attempt() -> int:
    return get_step_context().attempt


@pipeline
def flow(x: int = 1, factor: float = 1.0) -> None:
    scaled(x, factor)
    attempt()


FULL = """
run_name: night-{date}
enable_cache: false
tags: [nightly]
parameters: {x: "3", factor: 2}
retry: {max_retries: 1}
steps:
  scaled: {retry: {max_retries: 3, delay: 0.5}, tags: [slow]}
x-note: for people
"""


def test_parameters_options_and_names_come_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(FULL)
    run = flow.with_options(run_config=file)()
    assert run.steps["scaled"].output.load() == 6.0
    assert run.name.startswith("night-2")
    assert run.tags == ("nightly",)
    assert run.plan.step("scaled").retry.max_retries == 3
    assert run.plan.step("attempt").retry.max_retries == 1
    assert flow.with_options(run_config=file)().status == "completed"  # caching is off in the file


def test_what_is_given_at_the_call_wins(tmp_path: Path) -> None:
    run = flow.with_options(run_config={"parameters": {"x": 3}}, run_name="mine")(x=5)
    assert run.name == "mine"
    assert run.steps["scaled"].output.load() == 5.0


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("paramters: {x: 1}", "Did you mean 'parameters'"),
        ("steps: {scaled: {retri: 1}}", "Did you mean 'retry'"),
        ("steps: {scaled: {retry: {max: 1}}}", "max"),
        ("- a list", "must be a mapping"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, written: str, said: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(written)
    with pytest.raises(ConfigurationError, match=said):
        flow.with_options(run_config=file)()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no run configuration"):
        flow.with_options(run_config=tmp_path / "nope.yaml")()


def test_a_step_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(GraphError, match="Did you mean 'scaled'"):
        flow.with_options(run_config={"steps": {"scald": {"tags": ["a"]}}})()


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("")
    assert flow.with_options(run_config=tmp_path / "run.yaml")().status == "completed"


@pytest.mark.parametrize("wrong", [{"x": "three"}, {"y": 1}])
def test_a_parameter_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match="flow"):
        flow.with_options(run_config={"parameters": wrong})()
