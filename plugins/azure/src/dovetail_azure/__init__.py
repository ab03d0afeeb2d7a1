"""Azure as part of a stack: Blob storage as artifact store, and its container registry."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl

_IDENTITY = "azure-identity>=1.19,<2"


@hookimpl
def dovetail_artifact_stores() -> Sequence[FlavorSpec]:
    target = "dovetail_azure.artifact_store:AzureArtifactStore"
    return [FlavorSpec("azure", target, requires=["requests>=2.32,<3", _IDENTITY], help="A container of Azure Blob storage.")]


@hookimpl
def dovetail_container_registries() -> Sequence[FlavorSpec]:
    return [FlavorSpec("acr", "dovetail_azure.container_registry:AzureRegistry", requires=[_IDENTITY], help="Azure Container Registry.")]
