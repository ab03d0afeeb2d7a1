"""The built-in plugin: what a single machine needs, declared through the same hooks as a stranger's."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, MaterializerSpec, hookimpl


@hookimpl
def dovetail_orchestrators() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec("local", "dovetail.local.orchestrator:LocalOrchestrator", help="Threads and warm processes on this machine.")
    ]


@hookimpl
def dovetail_artifact_stores() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec("local", "dovetail.local.artifact_store:LocalArtifactStore", help="A folder on this machine."),
        FlavorSpec("memory", "dovetail.local.memory_store:MemoryArtifactStore", help="This process's memory; gone when it ends."),
    ]


@hookimpl
def dovetail_experiment_trackers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("local", "dovetail.local.experiment_tracker:LocalTracker", help="JSON lines in a folder.")]


@hookimpl
def dovetail_model_deployers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("local", "dovetail.local.model_deployer:LocalModelDeployer", help="Serving processes on this machine.")]


@hookimpl
def dovetail_step_operators() -> Sequence[FlavorSpec]:
    return [FlavorSpec("local", "dovetail.local.step_operator:LocalStepOperator", help="Processes on this machine that share nothing with the run's.")]


@hookimpl
def dovetail_secret_stores() -> Sequence[FlavorSpec]:
    return [FlavorSpec("local", "dovetail.local.secret_store:LocalSecretStore", help="Files that only you may read.")]


@hookimpl
def dovetail_materializers() -> Sequence[MaterializerSpec]:
    from dovetail.materializers.builtin import SPECS

    return SPECS
