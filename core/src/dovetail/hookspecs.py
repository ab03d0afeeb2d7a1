"""Every extension point, on one page.

A plugin is an entry point of the group `dovetail` that names a module; the module implements the hooks below that it has
something to say to, marked with `dovetail.plugin.hookimpl`, and takes only the arguments it needs. Every implementation
of a hook is called; none can keep another from being called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pluggy

from dovetail.plugin import ComponentType, FlavorSpec, MaterializerSpec

hookspec = pluggy.HookspecMarker("dovetail")

COMPONENT_TYPES: tuple[ComponentType, ...] = (
    ComponentType(
        "orchestrator", "dovetail_orchestrators", "dovetail.components:Orchestrator", "Runs a plan's steps somewhere.", "o"
    ),
    ComponentType(
        "artifact_store",
        "dovetail_artifact_stores",
        "dovetail.components:ArtifactStore",
        "Where artifacts and the ledger lie.",
        "a",
    ),
    ComponentType(
        "experiment_tracker",
        "dovetail_experiment_trackers",
        "dovetail.components:ExperimentTracker",
        "Mirrors what steps log to a tracking tool.",
        "e",
    ),
    ComponentType(
        "model_deployer",
        "dovetail_model_deployers",
        "dovetail.components:ModelDeployer",
        "Serves models behind an endpoint.",
        "d",
    ),
    ComponentType(
        "container_registry",
        "dovetail_container_registries",
        "dovetail.components:ContainerRegistry",
        "Keeps container images.",
        "c",
    ),
    ComponentType("image_builder", "dovetail_image_builders", "dovetail.components:ImageBuilder", "Builds container images."),
    ComponentType("step_operator", "dovetail_step_operators", "dovetail.components:StepOperator", "Runs single steps elsewhere."),
    ComponentType("feature_store", "dovetail_feature_stores", None, "Serves features by key and time."),
    ComponentType(
        "data_validator", "dovetail_data_validators", "dovetail.components:DataValidator", "Checks and compares data."
    ),
    ComponentType(
        "model_registry",
        "dovetail_model_registries",
        "dovetail.components:ModelRegistry",
        "Mirrors model versions to a registry.",
    ),
    ComponentType("alerter", "dovetail_alerters", "dovetail.components:Alerter", "Tells people what happened."),
    ComponentType(
        "secret_store", "dovetail_secret_stores", "dovetail.components:SecretStore", "Keeps secret values outside stack files."
    ),
)


# What a plugin supplies: one hook per component type. Each returns the flavors that it brings; returning imports no vendor library.


@hookspec
def dovetail_orchestrators() -> Sequence[FlavorSpec]:
    """Flavors of orchestrator."""
    raise NotImplementedError


@hookspec
def dovetail_artifact_stores() -> Sequence[FlavorSpec]:
    """Flavors of artifact store."""
    raise NotImplementedError


@hookspec
def dovetail_experiment_trackers() -> Sequence[FlavorSpec]:
    """Flavors of experiment tracker."""
    raise NotImplementedError


@hookspec
def dovetail_model_deployers() -> Sequence[FlavorSpec]:
    """Flavors of model deployer."""
    raise NotImplementedError


@hookspec
def dovetail_container_registries() -> Sequence[FlavorSpec]:
    """Flavors of container registry."""
    raise NotImplementedError


@hookspec
def dovetail_image_builders() -> Sequence[FlavorSpec]:
    """Flavors of image builder."""
    raise NotImplementedError


@hookspec
def dovetail_step_operators() -> Sequence[FlavorSpec]:
    """Flavors of step operator."""
    raise NotImplementedError


@hookspec
def dovetail_feature_stores() -> Sequence[FlavorSpec]:
    """Flavors of feature store."""
    raise NotImplementedError


@hookspec
def dovetail_data_validators() -> Sequence[FlavorSpec]:
    """Flavors of data validator."""
    raise NotImplementedError


@hookspec
def dovetail_model_registries() -> Sequence[FlavorSpec]:
    """Flavors of model registry."""
    raise NotImplementedError


@hookspec
def dovetail_alerters() -> Sequence[FlavorSpec]:
    """Flavors of alerter."""
    raise NotImplementedError


@hookspec
def dovetail_secret_stores() -> Sequence[FlavorSpec]:
    """Flavors of secret store."""
    raise NotImplementedError


@hookspec
def dovetail_component_types() -> Sequence[ComponentType]:
    """New kinds of component. Each names the hook that supplies its flavors, which other plugins may then implement too."""
    raise NotImplementedError


@hookspec
def dovetail_materializers() -> Sequence[MaterializerSpec]:
    """Materializers for types of values; they come before the built-in ones."""
    raise NotImplementedError


@hookspec
def dovetail_cli_commands() -> Mapping[str, str]:
    """Commands below `dovetail`: the command's name and the import string of a click command."""
    raise NotImplementedError


# What a plugin observes. Called in the process that coordinates the run, one by one; an exception is logged and changes
# nothing. An event is a mapping of plain JSON values; more keys may come, none goes.


@hookspec
def dovetail_run_started(event: Mapping[str, Any]) -> None:
    """`run` (id), `name`, `pipeline`, `stack`, `status`, and `resumes` (the id of the run that it resumes, or None)."""
    raise NotImplementedError


@hookspec
def dovetail_run_finished(event: Mapping[str, Any]) -> None:
    """`run`, `name`, `pipeline`, `stack`, `status` (how it ended), `seconds`, and `error` (a sentence, or None)."""
    raise NotImplementedError


@hookspec
def dovetail_step_started(event: Mapping[str, Any]) -> None:
    """`run`, `name`, `pipeline`, `stack`, `step` (the invocation), `status`, `attempt` (the first is 1)."""
    raise NotImplementedError


@hookspec
def dovetail_step_finished(event: Mapping[str, Any]) -> None:
    """`run`, `name`, `pipeline`, `stack`, `step`, `status` (completed, cached, failed, skipped, …), `attempt`, `seconds`, `error`."""
    raise NotImplementedError


@hookspec
def dovetail_step_retried(event: Mapping[str, Any]) -> None:
    """`run`, `name`, `pipeline`, `stack`, `step`, `attempt` (the one that follows), `error` (why the last one failed)."""
    raise NotImplementedError
