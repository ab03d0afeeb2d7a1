"""AWS as part of a stack: S3 as artifact store, SageMaker for steps and models, ECR for images, Secrets Manager."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import FlavorSpec, hookimpl

_SDK = ["botocore>=1.36,<2"]
_VERSIONED = ["botocore>=1.40,<2"]  # which knows versions of pipelines


@hookimpl
def dovetail_artifact_stores() -> Sequence[FlavorSpec]:
    target = "dovetail_aws.artifact_store:S3ArtifactStore"
    return [FlavorSpec("s3", target, requires=_SDK, help="A bucket of Amazon S3, or of what speaks it: MinIO, Ceph, ….")]


@hookimpl
def dovetail_orchestrators() -> Sequence[FlavorSpec]:
    target = "dovetail_aws.sagemaker_orchestrator:SageMakerOrchestrator"
    return [FlavorSpec("sagemaker", target, requires=_VERSIONED, help="Pipelines as pipelines of SageMaker, with its own clock.")]


@hookimpl
def dovetail_step_operators() -> Sequence[FlavorSpec]:
    target = "dovetail_aws.sagemaker_step_operator:SageMakerStepOperator"
    return [FlavorSpec("sagemaker", target, requires=_SDK, help="Single steps as processing or training jobs of SageMaker.")]


@hookimpl
def dovetail_container_registries() -> Sequence[FlavorSpec]:
    return [FlavorSpec("ecr", "dovetail_aws.container_registry:EcrRegistry", requires=_SDK, help="Images in Amazon's Elastic Container Registry.")]


@hookimpl
def dovetail_secret_stores() -> Sequence[FlavorSpec]:
    return [FlavorSpec("aws", "dovetail_aws.secret_store:AwsSecretStore", requires=_SDK, help="Secrets in AWS Secrets Manager.")]


@hookimpl
def dovetail_model_deployers() -> Sequence[FlavorSpec]:
    target = "dovetail_aws.model_deployer:SageMakerModelDeployer"
    return [FlavorSpec("sagemaker", target, requires=_SDK, help="Models behind endpoints of SageMaker.")]
