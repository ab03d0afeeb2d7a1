"""What is sent to Vertex AI is what its reference describes: Google's own types read it, and know each field."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from experiments_fake import ExperimentsFake
from google_fake import GoogleFake
from models_fake import EndpointsFake
from storage_emulator import emulator
from test_vertex_model_deployer import deployer_at, deployment
from test_vertex_model_registry import registry_at
from test_vertex_tracker import logged, tracker_at
from vertex_fake import VertexFake

from dovetail.components import Job, RegistryEntry
from dovetail.values.settings import Resources
from dovetail_gcp.vertex_step_operator import VertexStepOperator

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")


def types() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.cloud import aiplatform_v1
    return aiplatform_v1


def read(kind: str, body: Any) -> Any:
    """The body as the type of that name; raises for a field that it has not."""
    return getattr(types(), kind).from_json(json.dumps(body), ignore_unknown_fields=False)


@pytest.mark.parametrize(
    "fields",
    [
        {
            "spot": True,
            "network": "projects/1/global/networks/n",
            "reserved_ip_ranges": ["r"],
            "persistent_resource": "x",
            "tensorboard": "t",
            "service_account": "s",
        },
        {"queue_for": 60.0, "network_attachment": "a", "base_output": "gs://b/o", "web_access": True, "encryption_key": "k", "labels": {"a": "b"}},
    ],
)
def test_a_custom_job_is_one(google: GoogleFake, fields: dict[str, Any]) -> None:
    VertexFake(google)
    operator = VertexStepOperator(project="p", location="europe-west4", endpoint_url=google.url, image="i", variables={"A": "b"}, **fields)
    operator.start(Job("train-1", ["-c", "pass"], timeout=60, resources=Resources(cpu=2, gpu=1, gpu_type="L4", disk="1GiB"), labels={"a.b": "C"}))
    found = read("CustomJob", google.received("POST", "/customJobs")[-1].body)
    pool = found.job_spec.worker_pool_specs[0]
    assert (found.display_name, pool.machine_spec.machine_type, pool.replica_count) == ("train-1", "g2-standard-4", 1)
    assert (found.job_spec.scheduling.timeout.total_seconds(), found.job_spec.scheduling.disable_retries) == (60, True)


def test_what_a_tracker_sends_is_known(google: GoogleFake) -> None:
    ExperimentsFake(google)
    logged(tracker_at(google))
    kinds = {
        "/contexts": "Context", "/artifacts": "Artifact", "/tensorboards": "Tensorboard", "/experiments": "TensorboardExperiment", "/runs": "TensorboardRun",
        "/timeSeries": "TensorboardTimeSeries", ":write": "WriteTensorboardRunDataRequest", ":addContextChildren": "AddContextChildrenRequest",
        ":addContextArtifactsAndExecutions": "AddContextArtifactsAndExecutionsRequest",
    }  # fmt: skip
    for ending, kind in kinds.items():
        sent = google.received("POST", ending)
        assert sent, ending
        assert [read(kind, asked.body) for asked in sent]
    assert [read("Context", asked.body) for asked in google.received("PATCH", "/contexts/[^/]+")]


def test_what_registry_and_deployer_send_is_known(google: GoogleFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with emulator() as storage:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)
        fake = EndpointsFake(google, None, [], storage.url)
        fake._served = served  # type: ignore[method-assign]
        deployer = deployer_at(google, "i", accelerator_type="T4", spot=True, service_account="s", encryption_key="k")
        deployer.stop(deployer.start(deployment(tmp_path)))
        registry = registry_at(google)
        for version in (1, 2):
            registry.register(RegistryEntry("scales", version, model=tmp_path))
            registry.set_stage("scales", version, "production")
    kinds = {"models:upload": "UploadModelRequest", ":mergeVersionAliases": "MergeVersionAliasesRequest", "/endpoints": "Endpoint"}
    kinds |= {":deployModel": "DeployModelRequest", ":undeployModel": "UndeployModelRequest"}
    for ending, kind in kinds.items():
        sent = google.received("POST", ending)
        assert sent, ending
        assert [read(kind, asked.body) for asked in sent]
    assert [read("Model", asked.body) for asked in google.received("PATCH", "/models/.*")]


def served(number: str, endpoint: dict[str, Any], deployed: dict[str, Any], model: Any) -> dict[str, Any]:
    """As if it were."""
    endpoint["deployedModels"].append(deployed)
    return {"done": True, "response": {"deployedModel": {"id": deployed["id"]}}}
