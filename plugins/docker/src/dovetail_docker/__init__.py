"""Containers: an orchestrator, a step operator, image builders and container registries."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl

_SDK = ["docker>=7,<8"]


@hookimpl
def dovetail_orchestrators() -> Sequence[FlavorSpec]:
    target = "dovetail_docker.orchestrator:DockerOrchestrator"
    return [FlavorSpec("docker", target, requires=_SDK, help="One container per step, on a Docker-compatible engine.")]


@hookimpl
def dovetail_step_operators() -> Sequence[FlavorSpec]:
    return [FlavorSpec("docker", "dovetail_docker.step_operator:DockerStepOperator", requires=_SDK, help="Single steps in containers.")]


@hookimpl
def dovetail_image_builders() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec("docker", "dovetail_docker.image_builder:DockerImageBuilder", requires=_SDK, help="Builds images by a Docker-compatible engine."),
        FlavorSpec("buildah", "dovetail_docker.buildah_builder:BuildahImageBuilder", help="Builds images with buildah, which needs no daemon."),
    ]


@hookimpl
def dovetail_container_registries() -> Sequence[FlavorSpec]:
    return [
        FlavorSpec("oci", "dovetail_docker.container_registry:OciRegistry", help="Any registry that speaks the OCI distribution API."),
        FlavorSpec("dockerhub", "dovetail_docker.container_registry:DockerHubRegistry", help="Docker Hub."),
    ]
