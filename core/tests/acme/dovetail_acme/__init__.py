"""A stranger's plugin: one flavor of several types, a component type, a materializer, a command and observers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.plugin import ComponentType, FlavorSpec, MaterializerSpec, hookimpl

SEEN: list[tuple[str, Mapping[str, Any]]] = []


@hookimpl
def dovetail_experiment_trackers() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec("acme", "dovetail_acme.components:AcmeTracker", help="Tracks in Acme."),
        FlavorSpec("needy", "dovetail_acme.components:AcmeTracker", requires=["pluggy>=1", "no-such-sdk[all]>=2"]),
        FlavorSpec("lost", "dovetail_acme.nowhere:Tracker"),
        FlavorSpec("wrong", "dovetail_acme.components:Telescope"),
    ]


@hookimpl
def dovetail_artifact_stores() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec("acme", "dovetail_acme.components:AcmeStore"),
        FlavorSpec("plain", "dovetail_acme.components:NotAtomic"),
    ]


@hookimpl
def dovetail_orchestrators() -> Sequence[FlavorSpec]:
    return [FlavorSpec("acme", "dovetail_acme.components:AcmeOrchestrator")]


@hookimpl
def dovetail_secret_stores() -> Sequence[FlavorSpec]:
    return [FlavorSpec("vault", "dovetail_acme.components:Vault")]


@hookimpl
def dovetail_component_types() -> Sequence[ComponentType]:
    return [ComponentType("telescope", "dovetail_telescopes", "dovetail_acme.components:Telescope", "Looks far.")]


@hookimpl
def dovetail_telescopes() -> Sequence[FlavorSpec]:
    return [FlavorSpec("hubble", "dovetail_acme.components:Hubble")]


@hookimpl
def dovetail_materializers() -> Sequence[MaterializerSpec]:
    return [MaterializerSpec(["dovetail_acme.Thing"], "dovetail_acme.components:ThingMaterializer")]


@hookimpl
def dovetail_cli_commands() -> Mapping[str, str]:
    return {"acme-hello": "dovetail_acme.commands:hello"}


@hookimpl
def dovetail_run_started(event: Mapping[str, Any]) -> None:
    SEEN.append(("run_started", event))
