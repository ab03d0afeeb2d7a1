"""What is recorded reads back as the value that was recorded."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dovetail import digest
from dovetail.values.artifacts import Manifest
from dovetail.values.graph import Graph, Node, OutputSpec
from dovetail.values.plan import Code, Decision, Plan, PlanStep

NAMES = st.text(alphabet="abcXYZ_019", min_size=1, max_size=8)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda i: st.lists(i, max_size=2) | st.dictionaries(NAMES, i, max_size=2), max_leaves=4)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=2)
INPUTS = st.recursive(
    st.one_of(
        st.builds(lambda v: {"value": v}, JSON),
        st.builds(lambda a, b: {"from": a, "output": b}, NAMES, NAMES),
        st.builds(lambda d: {"artifact": d}, DIGESTS),
    ),
    lambda inner: st.one_of(st.builds(lambda items: {"list": items}, st.lists(inner, max_size=3)), st.builds(lambda d: {"dict": d}, st.dictionaries(NAMES, inner, max_size=2))),
    max_leaves=4,
)  # fmt: skip
OUTPUTS = st.builds(
    OutputSpec, NAMES, st.none() | NAMES, st.none() | NAMES, st.none() | NAMES, st.none() | NAMES, st.lists(NAMES, max_size=2).map(tuple), OBJECTS, st.booleans()
)  # fmt: skip
NODES = st.builds(
    Node, NAMES, NAMES, NAMES, st.dictionaries(NAMES, INPUTS, max_size=3), st.lists(OUTPUTS, max_size=3).map(tuple), OBJECTS,
    st.lists(NAMES, max_size=2).map(tuple), st.lists(OBJECTS, max_size=2).map(tuple), st.none() | NAMES, st.booleans(),
)  # fmt: skip
STEPS = st.builds(
    PlanStep, NODES, st.sampled_from(Decision), st.text(max_size=9), OBJECTS, st.none() | DIGESTS, st.none() | DIGESTS, st.none() | st.just("why"),
    st.none() | DIGESTS, st.none() | st.dictionaries(NAMES, JSON, min_size=1, max_size=2),
)  # fmt: skip
PLANS = st.builds(
    Plan, run_id=NAMES, run_name=NAMES, pipeline=NAMES, created=st.floats(0, 1e10), stack=OBJECTS, steps=st.lists(STEPS, max_size=3).map(tuple),
    source=st.none() | NAMES, parameters=OBJECTS, options=OBJECTS, codes=st.dictionaries(DIGESTS, st.builds(Code, st.dictionaries(NAMES, NAMES), st.dictionaries(NAMES, NAMES)), max_size=2),
    package=st.none() | DIGESTS, root=st.none() | NAMES, models=st.dictionaries(NAMES, st.none() | st.integers(1, 9), max_size=2),
    tags=st.lists(NAMES, max_size=2).map(tuple), notes=st.lists(NAMES, max_size=2).map(tuple), resumes=st.none() | NAMES,
)  # fmt: skip
MANIFESTS = st.builds(
    Manifest, NAMES, NAMES, st.integers(1, 9), st.dictionaries(NAMES, st.tuples(st.integers(0, 9), DIGESTS), max_size=3), NAMES, st.booleans(), st.booleans(),
    OBJECTS, st.dictionaries(NAMES, NAMES, max_size=2), st.none() | st.lists(DIGESTS, max_size=3).map(tuple),
)  # fmt: skip


def through_json(record: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(record))
    return written


@given(PLANS)
def test_a_plan_reads_back_as_it_was(plan: Plan) -> None:
    assert Plan.from_json(through_json(plan.to_json())) == plan


@given(STEPS)
def test_a_steps_own_part_of_a_plan_reads_back_as_it_was(step: PlanStep) -> None:
    assert PlanStep.from_json(through_json(step.to_json())) == step


@given(NODES)
def test_a_node_reads_back_as_it_was(node: Node) -> None:
    assert Node.from_json(through_json(node.to_json())) == node


@given(st.lists(NODES, max_size=3))
def test_a_graph_reads_back_as_it_was(nodes: list[Node]) -> None:
    graph = Graph("p", tuple(nodes), "m:p", {"a": 1}, {"tags": ["x"]})
    assert Graph.from_json(through_json(graph.to_json())) == graph


@given(MANIFESTS)
def test_a_manifest_reads_back_as_it_was_and_keeps_its_digest(manifest: Manifest) -> None:
    back = Manifest.from_json(through_json(manifest.to_json()))
    assert back == manifest
    assert digest.of_json(back.covered()) == digest.of_json(manifest.covered())


@given(MANIFESTS, MANIFESTS)
def test_a_digest_covers_type_materializer_format_files_and_items_and_nothing_else(one: Manifest, other: Manifest) -> None:
    def covered(m: Manifest) -> tuple[Any, ...]:
        return m.type, m.materializer, m.format, dict(m.files), m.items

    assert (digest.of_json(one.covered()) == digest.of_json(other.covered())) == (covered(one) == covered(other))
