"""From what a record says that a step takes to the arguments of its function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.graph.annotations import Signature
from dovetail.graph.definition import StepDefinition
from dovetail.planning.workspace import Workspace
from dovetail.values.encoding import decode, type_name

_ATOMS = (str, int, float, bool, type(None))


def load_inputs(workspace: Workspace, definition: StepDefinition, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for the step's function, read from the ledger."""
    signature = definition.signature
    return {name: _load(workspace, given, _annotation(signature, name)) for name, given in inputs.items()}


def _annotation(signature: Signature, name: str) -> Any:
    parameter = signature.parameters.get(name)
    return parameter.annotation if parameter is not None else Any


def _load(workspace: Workspace, given: Mapping[str, Any], annotation: Any) -> Any:
    if "value" in given:
        value = given["value"]
        return value if isinstance(value, _ATOMS) else decode(value, _Resolver(workspace, annotation))
    if "artifact" in given:
        return workspace.ledger.artifacts.load(given["artifact"])
    if "list" in given:
        return [_load(workspace, item, Any) for item in given["list"]]
    return {key: _load(workspace, item, Any) for key, item in given["dict"].items()}


class _Resolver:
    """Types that the parameter's own annotation holds, then those that a record may name."""

    def __init__(self, workspace: Workspace, annotation: Any) -> None:
        self._annotated = {type_name(cls): cls for cls in _classes(annotation)}
        self._workspace = workspace

    def __call__(self, target: str) -> Any:
        found = self._annotated.get(target)
        return found if found is not None else self._workspace.ledger.artifacts.materializers.resolve(target)


def _classes(annotation: Any) -> list[type]:
    members = [cls for part in getattr(annotation, "__args__", ()) for cls in _classes(part)]
    return [annotation, *members] if isinstance(annotation, type) else members
