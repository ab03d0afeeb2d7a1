"""SageMaker's own local mode takes the very requests that the service would get, and runs them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import KEYS
from dovetail.components import Job
from dovetail_aws.sagemaker_step_operator import SageMakerStepOperator
from sagemaker_service import ACCOUNT, REGION, ROLE, SageMakerService

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("sagemaker") is None, reason="SageMaker's local mode is not here. Install it: dovetail-aws[local-mode]."),
    pytest.mark.skipif(shutil.which("docker-compose") is None, reason="local mode needs docker-compose: `apt-get install docker-compose`."),
]
SAYS = "import os, sys; print('said:', os.environ['SHORT'], len(os.environ['ODD']), os.environ['ODD'][:5], len(sys.argv[1]), sys.argv[2])"


@pytest.fixture(scope="module")
def whole_image(engine: Any) -> str:
    """With the plugin installed, as it is in images that are built."""
    from dovetail_docker.testing import installed_image

    name = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/dovetail-whole"
    engine.client().images.get(installed_image(engine, "dovetail-aws")).tag(name, "1")
    return f"{name}:1"


@pytest.mark.parametrize("job_type", ["processing", "training"])
def test_local_mode_runs_a_job_as_it_was_asked_for(sagemaker: SageMakerService, engine: Any, whole_image: str, tmp_path: Path, job_type: str) -> None:
    operator = SageMakerStepOperator(
        role=ROLE, endpoint_url=sagemaker.url, region=REGION, image=whole_image, job_type=job_type, output_path="s3://trial/local", **KEYS
    )  # fmt: skip
    operator.start(Job("local-1", ["-c", SAYS, "x" * 700, "größe"], variables={"SHORT": "1", "ODD": "größe " + "y" * 600}))
    verb = f"create_{job_type}_job"
    request = tmp_path / "request.json"
    request.write_text(json.dumps(_local(sagemaker.sent("CreateProcessingJob" if job_type == "processing" else "CreateTrainingJob"), tmp_path)))
    environ = {**os.environ, "DOCKER_HOST": engine.host, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    command = [sys.executable, str(Path(__file__).with_name("local_mode.py")), verb, str(request), str(tmp_path / "config.yaml")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert "said: 1 606 größe 700 größe" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    assert "telemetry?" not in done.stderr


def _local(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Where local mode puts what a training job leaves; all else is as the service got it."""
    return {**request, "OutputDataConfig": {"S3OutputPath": f"file://{folder}"}} if "OutputDataConfig" in request else request
