"""A stack of all that the plugin has, checked as `dovetail stack check` does."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.stack.checks import check_stack
from dovetail.testing.trial import TrialProject
from dovetail_aws.artifact_store import S3ArtifactStore
from dovetail_aws.container_registry import EcrRegistry
from dovetail_aws.model_deployer import SageMakerModelDeployer
from dovetail_aws.sagemaker_step_operator import SageMakerStepOperator
from dovetail_aws.secret_store import AwsSecretStore
from sagemaker_service import ACCOUNT, REGION, ROLE

HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
NOWHERE = "http://192.0.2.1:9"  # where packets are lost without a word
WITHIN = 15.0


@pytest.mark.parametrize("credentials", ["there are some", "there are none"])
def test_without_a_network_the_check_ends_and_names_what_it_could_not_reach(project: Any, monkeypatch: pytest.MonkeyPatch, credentials: str) -> None:
    if credentials == "there are some":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    at = {"endpoint_url": NOWHERE, "region": REGION}
    components = [
        LocalOrchestrator(), S3ArtifactStore(path="s3://trial/x", **at), EcrRegistry(uri=HOST, endpoint_url=NOWHERE), AwsSecretStore(**at),
        SageMakerStepOperator(role=ROLE, **at), SageMakerModelDeployer(role=ROLE, image=f"{HOST}/serving:1", model_path="s3://trial/m", **at),
    ]  # fmt: skip
    trials: TrialProject = project.trials
    began = time.monotonic()
    problems = "\n".join(check_stack(trials.stack_of(*components)))
    assert time.monotonic() - began < WITHIN
    for what in ("Bucket 'trial'", f"ECR registry {HOST}", "Secrets Manager", f"SageMaker in {REGION}", f"SageMaker at {NOWHERE}"):
        if credentials == "there are none":
            assert any(what in line and "Unable to locate credentials" in line for line in problems.splitlines()), (what, problems)
        else:
            assert what in problems or (what == "Bucket 'trial'" and "s3-" in problems), (what, problems)
