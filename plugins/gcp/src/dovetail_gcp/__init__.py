"""Google Cloud as part of a stack: Cloud Storage as artifact store, and the services beside it."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl

_CLIENT = ["google-auth>=2.35,<3", "requests>=2.32,<3"]


@hookimpl
def dovetail_artifact_stores() -> Sequence[FlavorSpec]:
    return [FlavorSpec("gcs", "dovetail_gcp.artifact_store:GcsArtifactStore", requires=_CLIENT, help="A bucket of Google Cloud Storage.")]


@hookimpl
def dovetail_orchestrators() -> Sequence[FlavorSpec]:
    return [FlavorSpec("vertex", "dovetail_gcp.vertex_orchestrator:VertexOrchestrator", requires=_CLIENT, help="Runs as pipelines of Vertex AI.")]


@hookimpl
def dovetail_step_operators() -> Sequence[FlavorSpec]:
    target = "dovetail_gcp.vertex_step_operator:VertexStepOperator"
    return [FlavorSpec("vertex", target, requires=_CLIENT, help="Single steps as jobs of Vertex AI custom training.")]


@hookimpl
def dovetail_experiment_trackers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("vertex", "dovetail_gcp.vertex_tracker:VertexTracker", requires=_CLIENT, help="Runs of Vertex AI Experiments.")]


@hookimpl
def dovetail_container_registries() -> Sequence[FlavorSpec]:
    return [FlavorSpec("gar", "dovetail_gcp.container_registry:ArtifactRegistry", requires=_CLIENT, help="A repository of Artifact Registry.")]


@hookimpl
def dovetail_secret_stores() -> Sequence[FlavorSpec]:
    return [FlavorSpec("gcp", "dovetail_gcp.secret_store:GcpSecretStore", requires=_CLIENT, help="Google's Secret Manager.")]


@hookimpl
def dovetail_model_registries() -> Sequence[FlavorSpec]:
    target = "dovetail_gcp.vertex_model_registry:VertexModelRegistry"
    return [FlavorSpec("vertex", target, requires=_CLIENT, help="The Model Registry of Vertex AI.")]


@hookimpl
def dovetail_model_deployers() -> Sequence[FlavorSpec]:
    return [FlavorSpec("vertex", "dovetail_gcp.vertex_model_deployer:VertexModelDeployer", requires=_CLIENT, help="Endpoints of Vertex AI.")]
