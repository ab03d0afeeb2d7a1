"""Telling the stack's model registry of versions and stages. The ledger is the truth: what a registry raises is logged and changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dovetail.components.model_registry import ModelRegistry, RegistryEntry
from dovetail.planning.workspace import Workspace
from dovetail.values.artifacts import ArtifactType

_log = logging.getLogger("dovetail")


def tell_version(workspace: Workspace, name: str, version: int) -> None:
    """Register a version with what its run made so far."""
    _tell(workspace, name, version, lambda registry: registry.register(entry_of(workspace, name, version)))


def tell_stage(workspace: Workspace, name: str, version: int, stage: str) -> None:
    """Register a version and give it its stage."""

    def tell(registry: ModelRegistry) -> None:
        registry.register(entry_of(workspace, name, version))
        registry.set_stage(name, version, stage)

    _tell(workspace, name, version, tell)


def _tell(workspace: Workspace, name: str, version: int, tell: Callable[[ModelRegistry], None]) -> None:
    if "model_registry" not in workspace.stack.components:
        return
    try:
        registry: Any = workspace.stack.build("model_registry")
        tell(registry)
    except Exception as error:  # whatever a vendor's client raises
        _log.warning("The model registry was not told of version %d of model '%s': %s: %s", version, name, type(error).__name__, error)


def entry_of(workspace: Workspace, name: str, version: int) -> RegistryEntry:
    """What the ledger knows of a version; its model is the only output of its run that is one, or the last of them."""
    record = workspace.ledger.versions.model(name, version) or {}
    run = workspace.ledger.run(record["run"]) if "run" in record else None
    header: Mapping[str, Any] = (run.header() or {}) if run is not None else {}
    models, metadata = [], {}
    for step in run.plan().steps if run is not None else ():
        outcome: Mapping[str, Any] = (run.outcome(step.invocation) if run is not None else None) or {}
        models += [output for output in outcome.get("outputs", {}).values() if output.get("kind") == ArtifactType.MODEL.value]
        metadata.update(outcome.get("model_metadata", {}))
    entry = RegistryEntry(
        name, version, workspace.ledger.versions.stages(name).get(version, "none"), header.get("id", ""), header.get("name", ""),
        header.get("pipeline", ""), record.get("description") or "", tuple(record.get("tags", ())), {**record.get("metadata", {}), **metadata},
    )  # fmt: skip
    return replace(entry, **_payload(workspace, models[-1])) if models else entry


def _payload(workspace: Workspace, model: Mapping[str, Any]) -> dict[str, Any]:
    """What a registry needs to read the model."""
    artifacts = workspace.ledger.artifacts
    manifest = artifacts.get(model["digest"])
    declared = {name: spec.target for spec in workspace.registry.materializer_specs() for name in spec.types}
    reading = {"materializer": manifest.materializer, "materializers": declared, "trusted": workspace.store.trusted}
    return {"model": artifacts.folder(model["digest"]), "type": manifest.type, **reading}
