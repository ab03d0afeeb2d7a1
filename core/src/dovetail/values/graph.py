"""The graph as plain data: invocations, what they are given, what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.values.encoding import Json

# An input is one of:
#   {"value": encoded}                       a parameter
#   {"from": invocation, "output": name}     an artifact that another invocation of this run gives
#   {"artifact": digest, "name"?, "version"?}  an artifact that exists
#   {"list": [input, …]}, {"dict": {key: input}}  a collection that holds at least one artifact
Input = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One declared output. `type`: the annotation as text; None where the step has no annotation.

    `artifact`: a name in the whole store, else the artifact is named after pipeline, invocation and output.
    `itemwise`: a list that is stored item by item because a mapped step takes its items.
    """

    name: str
    type: str | None = None
    artifact: str | None = None
    materializer: str | None = None
    artifact_type: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    itemwise: bool = False

    def to_json(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in OutputSpec.__dataclass_fields__ if getattr(self, name)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> OutputSpec:
        return cls(**{**record, "tags": tuple(record.get("tags", ()))})


@dataclass(frozen=True, slots=True)
class Node:
    """One invocation of a step.

    `source`: `module:qualname` of its function. `options`: its settings as JSON. `after`: invocations to wait for that
    give it nothing. `when`: conditions that must all hold. `mapped`: the parameter that takes one item at a time.
    """

    invocation: str
    step: str
    source: str
    inputs: Mapping[str, Input]
    outputs: tuple[OutputSpec, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    when: tuple[Mapping[str, Any], ...] = ()
    mapped: str | None = None
    annotated: bool = True

    def upstream(self) -> Iterator[tuple[str, str]]:
        """(invocation, output) of everything that it takes, with '' as the output where only order is meant."""
        for given in self.inputs.values():
            yield from references_of(given)
        for condition in self.when:
            yield from references_of(condition)
        for invocation in self.after:
            yield invocation, ""

    def to_json(self) -> dict[str, Any]:
        record: dict[str, Any] = {"invocation": self.invocation, "step": self.step, "source": self.source}
        if self.inputs:
            record["inputs"] = dict(self.inputs)
        record["outputs"] = [output.to_json() for output in self.outputs]
        for name in ("options", "after", "when", "mapped"):
            if getattr(self, name):
                record[name] = _plain(getattr(self, name))
        if not self.annotated:
            record["annotated"] = False
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Node:
        return cls(
            **{
                "inputs": {},
                **record,
                "outputs": tuple(OutputSpec.from_json(output) for output in record["outputs"]),
                "after": tuple(record.get("after", ())),
                "when": tuple(record.get("when", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class Graph:
    """A traced pipeline: nodes in the order of their calls, which is an order in which they can run.

    `source`: `module:qualname` of the pipeline function. `parameters`: what it was called with, encoded.
    """

    pipeline: str
    nodes: tuple[Node, ...]
    source: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    results: Input | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "source": self.source,
            "parameters": dict(self.parameters),
            "options": dict(self.options),
            "nodes": [node.to_json() for node in self.nodes],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Graph:
        nodes = tuple(Node.from_json(node) for node in record["nodes"])
        return cls(record["pipeline"], nodes, record.get("source"), record.get("parameters", {}), record.get("options", {}))


def references_of(given: Any) -> Iterator[tuple[str, str]]:
    """(invocation, output) of all references inside an input or a condition."""
    if isinstance(given, Mapping):
        if "value" in given or "artifact" in given:
            return
        if "from" in given:
            yield given["from"], given.get("output", "")
            return
        given = given.values()
    if not isinstance(given, (str, int, float)) and given is not None:
        for part in given:
            yield from references_of(part)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
