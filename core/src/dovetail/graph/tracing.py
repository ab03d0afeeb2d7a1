"""Calling a pipeline function so that its steps leave nodes instead of results."""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dovetail.errors import DefinitionError, DovetailError, GraphError, ParameterError, near
from dovetail.graph.annotations import EMPTY, Parameter, compatible, describe
from dovetail.graph.definition import Options, StepDefinition
from dovetail.graph.parameters import check_parameter
from dovetail.graph.references import Condition, Invocation, Reference, as_condition, reference_input
from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.artifacts import ExternalArtifact
from dovetail.values.encoding import encode, type_name
from dovetail.values.graph import Graph, Node, OutputSpec
from dovetail.values.model import ModelArtifact
from dovetail.values.names import check_name, folded

current: contextvars.ContextVar[Tracer | None] = contextvars.ContextVar("dovetail_tracer", default=None)


@dataclass
class Live:
    """What a graph leaves in this process besides its data: functions and classes by source, values to store, annotations."""

    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    definitions: dict[str, StepDefinition] = field(default_factory=dict)
    externals: dict[str, ExternalArtifact | ModelArtifact] = field(default_factory=dict)
    materializers: dict[str, type[BaseMaterializer]] = field(default_factory=dict)


@dataclass(frozen=True)
class Traced:
    graph: Graph
    live: Live


class Tracer:
    """Collects nodes and problems while one pipeline function runs."""

    def __init__(self, pipeline: str, steps: Mapping[str, Options] = MappingProxyType({})) -> None:
        self.pipeline = pipeline
        self._from_outside = steps
        self.nodes: list[Node] = []
        self.live = Live()
        self.problems: list[str] = []
        self._uses: dict[str, int] = {}
        self._names: set[str] = set()
        self._conditions: list[dict[str, Any]] = []
        self._mapped_outputs: set[tuple[str, str]] = set()

    def add(
        self, step: StepDefinition, args: Sequence[Any], kwargs: Mapping[str, Any], *, mapped: bool = False, after: Sequence[Any] = (), id: str | None = None
    ) -> Any:
        """Add a node for a call and give its references."""
        signature = step.signature
        invocation = self._invocation(step.name, id)
        if step.name in self._from_outside:
            step = dataclasses.replace(step, options=step.options.merged(self._from_outside[step.name]))
        inputs, mapped_over = self._inputs(step, invocation, args, kwargs, mapped=mapped)
        outputs = signature.outputs if signature.outputs is not None else (OutputSpec("output"),)
        self.live.functions.setdefault(step.source, step.function)
        self.live.definitions[invocation] = step
        self.nodes.append(
            Node(
                invocation,
                step.name,
                step.source,
                inputs,
                self._with_materializers(step, outputs),
                step.options.to_json(),
                tuple(self._names_of(after)),
                tuple(self._conditions),
                mapped_over,
                signature.outputs is not None,
            )
        )
        references = Invocation(
            Reference(invocation, spec.name, annotation, step=step.name, mapped=mapped)
            for spec, annotation in zip(outputs, signature.output_types, strict=True)
        )
        if len(references) > 1:
            return references
        return references[0] if len(references) == 1 else Reference(invocation, "", None, step=step.name)

    @contextmanager
    def when(self, condition: Condition) -> Iterator[None]:
        self._conditions.append(condition.record)
        try:
            yield
        finally:
            self._conditions.pop()

    def graph(self, source: str | None, parameters: Mapping[str, Any], options: Mapping[str, Any]) -> Graph:
        """The finished graph; raises GraphError with every problem found."""
        known = {node.invocation: node for node in self.nodes}
        for name in set(self._from_outside) - {node.step for node in self.nodes}:
            self.problems.append(f"the run configuration speaks of step '{name}'. {near(name, (node.step for node in self.nodes))}".rstrip("."))
        for node in self.nodes:
            for upstream, _ in node.upstream():
                if upstream not in known:
                    self.problems.append(f"step '{node.invocation}' waits for '{upstream}', which is no step of this pipeline")
        self.problems += find_cycles(self.nodes)
        if self.problems:
            raise GraphError(self.pipeline, self.problems)
        nodes = tuple(self._itemwise(node) for node in self.nodes) if self._mapped_outputs else tuple(self.nodes)
        return Graph(self.pipeline, nodes, source, {name: encode(value) for name, value in parameters.items()}, options)

    def _invocation(self, name: str, id: str | None) -> str:
        if id is not None:
            try:
                id = check_name("step id", id)
            except DovetailError as error:
                self.problems.append(str(error))
            if id.rpartition(".")[2].isdecimal() and "." in id:
                self.problems.append(f"the id '{id}' ends like a child of a mapped step; choose one without a dot and a number")
            if folded(id) in self._names:
                self.problems.append(f"two steps have the id '{id}', or ids that differ only in case; give each its own")
            self._names.add(folded(id))
            return id
        while True:
            count = self._uses[name] = self._uses.get(name, 0) + 1
            invocation = name if count == 1 else f"{name}_{count}"
            if folded(invocation) not in self._names:
                self._names.add(folded(invocation))
                return invocation

    def _inputs(
        self, step: StepDefinition, invocation: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, mapped: bool
    ) -> tuple[dict[str, Any], str | None]:
        parameters = step.signature.parameters
        try:
            bound = bind(parameters, args, kwargs)
        except DefinitionError as error:
            self.problems.append(f"step '{invocation}' {error}")
            return {}, None
        over = next(iter(bound), None) if mapped else None
        inputs = {}
        for name, value in bound.items():
            parameter = parameters.get(name) or next(p for p in parameters.values() if p.kind in ("args", "kwargs"))
            try:
                inputs[name] = self._given(value, parameter, f"step '{invocation}', parameter '{name}',", is_mapped=name == over)
            except (ParameterError, DefinitionError) as error:
                self.problems.append(str(error).rstrip("."))
        return inputs, over

    def _given(self, value: Any, parameter: Parameter, where: str, *, is_mapped: bool) -> dict[str, Any]:
        if isinstance(value, Reference):
            return self._edge(value, parameter, where, is_mapped=is_mapped)
        if isinstance(value, Condition):
            raise DefinitionError(f"{where} was given a comparison of outputs; compare inside a step, or branch with when(…)")
        if isinstance(value, (ExternalArtifact, ModelArtifact)):
            number = f"external_{len(self.live.externals)}"
            self.live.externals[number] = value
            return {"external": number}
        if is_mapped and not isinstance(value, (list, tuple)):
            raise DefinitionError(f"{where} is mapped over a {type(value).__name__}; give a list, or a step's output that is one")
        if is_mapped:
            return {"list": [self._given(item, dataclasses.replace(parameter, annotation=parameter.annotation), where, is_mapped=False) for item in value]}
        if holds_references(value):
            return self._collection(value, where)
        return {"value": encode(check_parameter(value, parameter.annotation, where))}

    def _edge(self, reference: Reference, parameter: Parameter, where: str, *, is_mapped: bool) -> dict[str, Any]:
        if not reference._output:
            raise DefinitionError(f"{where} was given step '{reference._invocation}', which returns nothing; use after=[…] to wait for it")
        if is_mapped and not reference._mapped:
            self._mapped_outputs.add((reference._invocation, reference._output))
        elif not is_mapped and not reference._mapped and not compatible(reference._annotation, parameter.annotation):
            raise DefinitionError(
                f"{where} is annotated {describe(parameter.annotation)} and was given the output '{reference._output}' of step "
                f"'{reference._invocation}', which is {describe(reference._annotation)}"
            )
        return reference_input(reference)

    def _collection(self, value: Any, where: str) -> dict[str, Any]:
        if isinstance(value, Reference):
            return reference_input(value)
        if isinstance(value, dict) and holds_references(value):
            return {"dict": {str(key): self._collection(item, where) for key, item in value.items()}}
        if isinstance(value, (list, tuple)) and holds_references(value):
            return {"list": [self._collection(item, where) for item in value]}
        return {"value": encode(check_parameter(value, Any, where))}

    def _with_materializers(self, step: StepDefinition, outputs: tuple[OutputSpec, ...]) -> tuple[OutputSpec, ...]:
        chosen = step.options.output_materializers
        if not chosen:
            return outputs
        by_name = chosen if isinstance(chosen, Mapping) else {spec.name: chosen for spec in outputs}
        unknown = set(by_name) - {spec.name for spec in outputs}
        if unknown:
            self.problems.append(f"step '{step.name}' names a materializer for output '{min(unknown)}', which it does not have")
        named = {}
        for name, cls in by_name.items():
            named[name] = type_name(cls)
            self.live.materializers[named[name]] = cls
        return tuple(dataclasses.replace(spec, materializer=named.get(spec.name)) for spec in outputs)

    def _names_of(self, after: Sequence[Any]) -> Iterator[str]:
        for item in after if isinstance(after, (list, tuple)) and not isinstance(after, Invocation) else [after]:
            if isinstance(item, Reference):
                yield item._invocation
            elif isinstance(item, Invocation):
                yield item[0]._invocation
            elif isinstance(item, str):
                yield item
            else:
                self.problems.append(f"after= takes steps' outputs or names of steps, not {type(item).__name__}")

    def _itemwise(self, node: Node) -> Node:
        outputs = tuple(
            dataclasses.replace(spec, itemwise=True) if (node.invocation, spec.name) in self._mapped_outputs else spec for spec in node.outputs
        )
        return dataclasses.replace(node, outputs=outputs)


def trace(
    function: Callable[..., Any],
    name: str,
    source: str,
    parameters: Mapping[str, Any],
    options: Mapping[str, Any],
    steps: Mapping[str, Options] = MappingProxyType({}),
) -> Traced:
    """Run a pipeline function and give its graph. `steps`: options from outside, by step name, over what the code says.

    Raises GraphError with all problems, and what the function itself raises.
    """
    tracer = Tracer(name, steps)
    token = current.set(tracer)
    try:
        function(**parameters)
    except DefinitionError as error:
        tracer.problems.append(str(error).rstrip("."))
        raise GraphError(name, tracer.problems) from error
    finally:
        current.reset(token)
    return Traced(tracer.graph(source, parameters, options), tracer.live)


def when(condition: Any) -> Any:
    """`with when(accuracy > 0.9): …` — steps called inside run only if the condition holds; else they are skipped.

    Takes an output, which must then be true, or a comparison. What depends on a skipped step is skipped as well.
    Raises DefinitionError outside a pipeline.
    """
    tracer = current.get()
    if tracer is None:
        raise DefinitionError("when() has a meaning only inside a pipeline function; in a step, use if.")
    return tracer.when(as_condition(condition))


def bind(parameters: Mapping[str, Parameter], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by parameter name, defaults filled in. Raises DefinitionError that continues "step 'x' …"."""
    bound: dict[str, Any] = {}
    positional = [p for p in parameters.values() if p.kind == "positional"]
    if len(args) > len(positional):
        rest = next((p for p in parameters.values() if p.kind == "args"), None)
        if rest is None:
            raise DefinitionError(f"takes {len(positional)} positional arguments and was given {len(args)}")
        raise DefinitionError(f"collects *{rest.name}, whose members have no names to record; take a list instead")
    for parameter, value in zip(positional, args, strict=False):
        bound[parameter.name] = value
    for name, value in kwargs.items():
        if name in bound:
            raise DefinitionError(f"was given parameter '{name}' twice")
        if name not in parameters and not any(p.kind == "kwargs" for p in parameters.values()):
            raise DefinitionError(f"has no parameter '{name}'. {near(name, parameters)}".rstrip(" ."))
        bound[name] = value
    for parameter in parameters.values():
        if parameter.name not in bound and parameter.kind in ("positional", "keyword"):
            if parameter.default is EMPTY:
                raise DefinitionError(f"is missing its parameter '{parameter.name}'")
            bound[parameter.name] = parameter.default
    return bound


def holds_references(value: Any) -> bool:
    if isinstance(value, Reference):
        return True
    if isinstance(value, dict):
        return any(holds_references(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(holds_references(item) for item in value)


def find_cycles(nodes: Sequence[Node]) -> list[str]:
    """One sentence per circle of steps that wait for each other."""
    waits = {node.invocation: {name for name, _ in node.upstream()} for node in nodes}
    free = [name for name, upstream in waits.items() if not upstream & waits.keys()]
    downstream: dict[str, list[str]] = {}
    for name, upstream in waits.items():
        for other in upstream:
            downstream.setdefault(other, []).append(name)
    open_edges = {name: len(upstream & waits.keys()) for name, upstream in waits.items()}
    done = 0
    while free:
        done += 1
        for name in downstream.get(free.pop(), ()):
            open_edges[name] -= 1
            if open_edges[name] == 0:
                free.append(name)
    if done == len(nodes):
        return []
    stuck = sorted(name for name, count in open_edges.items() if count > 0)
    return [f"steps wait for each other in a circle: {', '.join(stuck)}; remove one `after` or input among them"]
