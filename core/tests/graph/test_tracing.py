"""Tracing finds every problem at once, and an output is no value."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest

from dovetail import ExternalArtifact, Retry, pipeline, step, when
from dovetail.errors import DefinitionError, GraphError
from dovetail.graph.references import Condition, Reference, holds
from dovetail.values.graph import Graph


@step
def number() -> float:
    return 1.0


@step
def pair() -> tuple[Annotated[int, "left"], Annotated[str, "right"]]:
    return 1, "a"


@step
def double(x: float) -> float:
    return x * 2


@step
def nothing(x: float) -> None: ...


@step
def total(xs: list[float], bonus: float = 0.0) -> float:
    return sum(xs) + bonus


def graph_of(function: Any) -> Graph:
    return pipeline(function).trace().graph


def test_calling_a_step_leaves_a_node_and_its_edges() -> None:
    def flow() -> None:
        double(double(number()))

    graph = graph_of(flow)
    assert [node.invocation for node in graph.nodes] == ["number", "double", "double_2"]
    assert graph.nodes[2].inputs == {"x": {"from": "double", "output": "output"}}


def test_a_graph_is_plain_json_and_comes_back_equal() -> None:
    def flow() -> None:
        with when(number() > 0.5):
            total([number(), 2.0], bonus=1.0)

    graph = graph_of(flow)
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


def test_outputs_are_unpacked_and_taken_by_name() -> None:
    def flow() -> None:
        left, _ = pair()
        both = pair()
        total([left, both.left])
        with pytest.raises(AttributeError, match="gives left, right"):
            _ = both.middle

    assert len(graph_of(flow).nodes) == 3


@pytest.mark.parametrize(
    "use",
    [
        lambda x: bool(x),
        lambda x: len(x),
        lambda x: list(x),
        lambda x: x[0],
        lambda x: x.shape,
        lambda x: float(x),
        lambda x: int(x),
        lambda x: bool(x > 1),
        lambda x: 1 if (x > 1) & (x < 2) else 0,
    ],
)
def test_an_output_has_no_value_while_tracing_and_says_what_helps(use: Any) -> None:
    def flow() -> None:
        use(number())

    with pytest.raises(GraphError, match=r"when\(…\).*step\.map"):
        graph_of(flow)


def test_several_outputs_have_no_truth_value() -> None:
    def flow() -> None:
        if pair():
            number()

    with pytest.raises(GraphError, match="no truth value"):
        graph_of(flow)


def test_all_problems_are_told_at_once() -> None:
    def flow() -> None:
        _, right = pair()
        double(right)
        double()
        double(1.0, 2.0)
        double(y=1.0)
        double(1.0, x=1.0)
        double("a")
        double(number() > 1)
        double(nothing(1.0))
        double(number(), after=["nobody"])
        double(number(), after=[3])
        number.with_options(id="twice")()
        number.with_options(id="twice")()
        number.with_options(id="../up")()

    with pytest.raises(GraphError) as caught:
        graph_of(flow)
    said = str(caught.value)
    for expected in (
        "annotated float and was given the output 'right'",
        "is missing its parameter 'x'",
        "takes 1 positional arguments and was given 2",
        "has no parameter 'y'",
        "parameter 'x' twice",
        "was given 'a'",
        "comparison of outputs",
        "returns nothing; use after=",
        "waits for 'nobody'",
        "after= takes",
        "two steps have the id 'twice'",
        "../up",
    ):
        assert expected in said


def test_a_circle_is_found_and_names_its_steps() -> None:
    def flow() -> None:
        first = number.with_options(id="first", after=["second"])()
        double.with_options(id="second")(first)

    with pytest.raises(GraphError, match="circle: first, second"):
        graph_of(flow)


def test_a_step_may_wait_for_one_that_is_called_later() -> None:
    def flow() -> None:
        number.with_options(id="late", after="early")()
        number.with_options(id="early")()

    plan = pipeline(flow).plan()
    assert [planned.invocation for planned in plan.steps] == ["early", "late"]


def test_after_and_id_are_left_to_a_function_that_has_such_parameters() -> None:
    @step
    def own(after: str, id: int) -> str:
        return f"{after}{id}"

    def flow() -> None:
        own(after="x", id=3)

    (node,) = graph_of(flow).nodes
    assert node.invocation == "own"
    assert node.inputs == {"after": {"value": "x"}, "id": {"value": 3}}


def test_mapping_asks_for_a_list() -> None:
    def flow() -> None:
        double.map(3)

    with pytest.raises(GraphError, match="mapped over a int"):
        graph_of(flow)
    with pytest.raises(DefinitionError, match="only inside a pipeline"):
        double.map([1])


def test_a_list_that_is_mapped_over_is_stored_item_by_item() -> None:
    @step
    def items() -> list[float]:
        return [1.0]

    def flow() -> None:
        total(double.map(items()))

    nodes = {node.invocation: node for node in graph_of(flow).nodes}
    assert nodes["items"].outputs[0].itemwise
    assert nodes["double"].mapped == "x"
    assert not nodes["double"].outputs[0].itemwise


def test_a_pipeline_called_in_another_joins_it() -> None:
    @pipeline
    def inner() -> Any:
        return double(number())

    def flow() -> None:
        double(inner())

    assert [node.invocation for node in graph_of(flow).nodes] == ["number", "double", "double_2"]


def test_when_has_a_meaning_only_inside_a_pipeline() -> None:
    with pytest.raises(DefinitionError, match="use if"):
        when(True)

    def flow() -> None:
        with when(3):
            number()

    with pytest.raises(GraphError, match="takes a step's output"):
        graph_of(flow)


@pytest.mark.parametrize(
    ("make", "value", "expected"),
    [
        (lambda x: x > 1, 2, True),
        (lambda x: x >= 2, 2, True),
        (lambda x: x < 1, 2, False),
        (lambda x: x <= 1, 2, False),
        (lambda x: x == 2, 2, True),
        (lambda x: x != 2, 2, False),
        (lambda x: (x > 1) & (x < 3), 2, True),
        (lambda x: (x > 3) | (x < 1), 2, False),
        (lambda x: ~(x > 3), 2, True),
        (lambda x: ~x, 0, True),
        (lambda x: x & (x > 1), 2, True),
        (lambda x: x | (x > 5), 0, False),
    ],
)
def test_a_condition_decides_as_the_comparison_that_it_was_written_as(make: Any, value: int, expected: bool) -> None:
    condition: Condition = make(Reference("a", "output", int))
    assert holds(condition.record, lambda given: given.get("value", value)) is expected


def test_an_outside_value_and_a_collection_are_inputs() -> None:
    def flow() -> None:
        total({"a": number(), "b": [number(), 1.0]})
        total(ExternalArtifact([1.0]))

    traced = pipeline(flow).trace()
    assert traced.graph.nodes[2].inputs["xs"]["dict"]["b"]["list"][1] == {"value": 1.0}
    assert traced.live.externals["external_0"].value == [1.0]


def test_options_that_cannot_be_are_refused_where_they_are_written() -> None:
    with pytest.raises(DefinitionError, match="Did you mean 'retry'"):
        step(retri=Retry())
    with pytest.raises(DefinitionError, match="takes a Retry"):
        step(retry="often")
    with pytest.raises(DefinitionError, match="timeout"):
        step(timeout=-1)
    with pytest.raises(DefinitionError, match="decorates a function"):
        step(int)
    with pytest.raises(DefinitionError, match="failure_policy"):
        pipeline(failure_policy="hope")
    with pytest.raises(DefinitionError, match="max_retries"):
        Retry(max_retries=-1)


def test_outside_a_pipeline_a_step_is_its_plain_function() -> None:
    assert double(2.0) == 4.0
    assert double.__name__ == "double"
