"""Inputs that are artifacts of model versions: found when a run is planned, and anew for each run that is made of a kept plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from dovetail.ledger.ledger import Ledger
from dovetail.values.graph import Input, Node
from dovetail.values.model import ModelArtifact

NumberOf = Callable[[str, Any], int]  # of a version, by the model's name and the version or stage that is wanted


def found_for(wanted: ModelArtifact, number_of: NumberOf, ledger: Ledger) -> Input:
    """The artifact, with what it was found by. Raises NotFound."""
    output = ledger.versions.output_of(wanted.model, number_of(wanted.model, wanted.version), wanted.artifact)
    return {"artifact": output["digest"], "name": output.get("artifact"), "version": output.get("version"), "model": wanted.to_json()}


def found_anew(node: Node, number_of: NumberOf, ledger: Ledger) -> Node:
    if not any("model" in given for given in node.inputs.values()):
        return node
    inputs = {name: found_for(ModelArtifact(**given["model"]), number_of, ledger) if "model" in given else given for name, given in node.inputs.items()}
    return dataclasses.replace(node, inputs=inputs)
