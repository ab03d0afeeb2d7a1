"""Each setting of workers on Vertex AI is in the request that the service receives, as its reference has it."""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from google_fake import GoogleFake
from secrets_fake import SecretsFake
from vertex_fake import VertexFake

from dovetail.components import Job
from dovetail.errors import ConfigurationError
from dovetail.registry import Registry
from dovetail.values.settings import Resources
from dovetail_gcp.vertex_jobs import escaped
from dovetail_gcp.vertex_step_operator import VertexStepOperator

IMAGE = "europe-west4-docker.pkg.dev/p/images/train:1"
KEY = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"


@pytest.fixture
def started(google: GoogleFake) -> Any:
    """Starts a job by an operator of these fields, and gives what the service received."""
    VertexFake(google)
    SecretsFake(google)

    def started(settings: dict[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
        of_job = {name: fields.pop(name) for name in list(fields) if name in Job.__dataclass_fields__ and name not in ("labels", "variables")}
        of_job |= {name.removeprefix("job_"): fields.pop(name) for name in list(fields) if name.startswith("job_")}
        operator = VertexStepOperator(project="p", location="europe-west4", endpoint_url=google.url, **{"image": IMAGE, **fields})
        operator.start(Job("train-1", ["-m", "dovetail.worker", "gs://b/x"], **{**of_job, "settings": settings or {}}))
        received: dict[str, Any] = google.received("POST", "/customJobs")[-1].body
        return received

    return started


def pool_of(body: dict[str, Any]) -> dict[str, Any]:
    [pool] = body["jobSpec"]["workerPoolSpecs"]
    found: dict[str, Any] = pool
    return found


def test_a_job_that_asks_for_nothing_is_one_replica_of_the_image_on_a_small_machine(started: Any) -> None:
    assert started() == {
        "displayName": "train-1",
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "e2-standard-4"},
                    "replicaCount": "1",
                    "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
                    "containerSpec": {"imageUri": IMAGE, "command": ["python"], "args": ["-m", "dovetail.worker", "gs://b/x"], "env": []},
                }
            ],
            "scheduling": {"disableRetries": True},
        },
        "labels": {},
    }


@pytest.mark.parametrize(
    ("fields", "place", "value"),
    [
        ({"service_account": "s@p.iam.gserviceaccount.com"}, "jobSpec.serviceAccount", "s@p.iam.gserviceaccount.com"),
        ({"network": "projects/1/global/networks/n"}, "jobSpec.network", "projects/1/global/networks/n"),
        ({"reserved_ip_ranges": ["r1", "r2"]}, "jobSpec.reservedIpRanges", ["r1", "r2"]),
        ({"network_attachment": "a"}, "jobSpec.pscInterfaceConfig", {"networkAttachment": "a"}),
        ({"persistent_resource": "mine"}, "jobSpec.persistentResourceId", "mine"),
        ({"web_access": True}, "jobSpec.enableWebAccess", True),
        ({"base_output": "gs://b/o"}, "jobSpec.baseOutputDirectory", {"outputUriPrefix": "gs://b/o"}),
        ({"encryption_key": KEY}, "encryptionSpec", {"kmsKeyName": KEY}),
        ({"spot": True}, "jobSpec.scheduling.strategy", "SPOT"),
        ({"queue_for": 90.5}, "jobSpec.scheduling", {"disableRetries": True, "strategy": "FLEX_START", "maxWaitDuration": "91s"}),
        ({"labels": {"Team": "Fraud & Risk"}}, "labels", {"team": "fraud---risk"}),
    ],
)
@pytest.mark.parametrize("by", ["component", "step"])
def test_a_setting_is_in_the_request_whoever_says_it(started: Any, fields: dict[str, Any], place: str, value: Any, by: str) -> None:
    found = started(fields) if by == "step" else started(**fields)
    for name in place.split("."):
        found = found[name]
    assert found == value


@pytest.mark.parametrize(
    ("fields", "place", "value"),
    [
        ({"machine_type": "c2-standard-8"}, "machineSpec", {"machineType": "c2-standard-8"}),
        ({"families": ["n1"]}, "machineSpec", {"machineType": "n1-highmem-2"}),
        (
            {"machine_type": "n1-standard-8", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 2},
            "machineSpec", {"machineType": "n1-standard-8", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 2},
        ),
        ({"boot_disk_gb": 250}, "diskSpec.bootDiskSizeGb", 250),
        ({"boot_disk_type": "pd-standard"}, "diskSpec.bootDiskType", "pd-standard"),
        ({"python": "/opt/bin/python3"}, "containerSpec.command", ["/opt/bin/python3"]),
        ({"image": "eu.gcr.io/p/other:2"}, "containerSpec.imageUri", "eu.gcr.io/p/other:2"),
        ({"variables": {"A": "b"}}, "containerSpec.env", [{"name": "A", "value": "b"}]),
    ],
)  # fmt: skip
def test_a_setting_of_the_machine_is_in_the_request(started: Any, fields: dict[str, Any], place: str, value: Any) -> None:
    found = pool_of(started(fields, resources=Resources(cpu=1) if "families" in fields else Resources()))
    for name in place.split("."):
        found = found[name]
    assert found == value


def test_a_tensorboard_comes_with_the_account_that_writes_to_it(started: Any) -> None:
    found = started(tensorboard="projects/p/locations/l/tensorboards/7", service_account="s@p")
    assert found["jobSpec"]["tensorboard"] == "projects/p/locations/l/tensorboards/7"
    with pytest.raises(ConfigurationError, match="service_account"):
        started(tensorboard="projects/p/locations/l/tensorboards/7")


def test_the_portable_settings_of_a_step_are_in_the_request(started: Any) -> None:
    body = started(
        resources=Resources(cpu=6, memory="20GiB", gpu=1, gpu_type="nvidia-l4", disk="50GiB"), timeout=61.2,
        credentials={"GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json"}, job_variables={"MODE": "a$(B)c"},
        job_labels={"dovetail.run-name": "Tunnel_Run 7", "dovetail.tag.größe": "", "dovetail.step": "x" * 70},
    )  # fmt: skip
    pool = pool_of(body)
    assert pool["machineSpec"] == {"machineType": "g2-standard-8", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}
    assert pool["diskSpec"]["bootDiskSizeGb"] == 150
    assert body["jobSpec"]["scheduling"] == {"disableRetries": True, "timeout": "62s"}
    assert {each["name"]: each["value"] for each in pool["containerSpec"]["env"]} == {"MODE": "a$$(B)c"}
    labels = body["labels"]
    assert (labels["dovetail-run-name"], labels["dovetail-tag-größe"]) == ("tunnel_run-7", "")
    assert len(labels["dovetail-step"]) == 63


def test_secrets_are_in_no_request_but_the_one_that_puts_them_into_secret_manager(started: Any, google: GoogleFake) -> None:
    given = {"secrets": {"TOKEN": "a-planted-secret"}, "credentials": {"AWS_SECRET_ACCESS_KEY": "another-one", "GOOGLE_CLOUD_PROJECT": "q"}}
    body = started(**given, timeout=3600.0, labels={"team": "x"})
    container = pool_of(body)["containerSpec"]
    place = f"{google.url}/v1/projects/p/secrets/train-1/versions/latest:access"
    assert container["env"] == [{"name": "GOOGLE_CLOUD_PROJECT", "value": "q"}, {"name": "DOVETAIL_HANDED_SECRETS", "value": place}]
    assert container["args"][2:] == ["-m", "dovetail.worker", "gs://b/x"]
    assert "a-planted-secret" not in json.dumps(body)
    [made] = google.received("POST", "/secrets")
    kept = {"userManaged": {"replicas": [{"location": "europe-west4"}]}}
    assert (made.query["secretId"], made.body) == ("train-1", {"replication": kept, "ttl": "90000s", "labels": {"team": "x"}})
    [put] = google.received("POST", ":addVersion")
    assert json.loads(base64.b64decode(put.body["payload"]["data"])) == {"TOKEN": "a-planted-secret", "AWS_SECRET_ACCESS_KEY": "another-one"}


def test_what_the_service_would_expand_arrives_as_it_is() -> None:
    for text, sent in (("$HOME", "$HOME"), ("a$b$", "a$b$"), ("$(X)", "$$(X)"), ("$$", "$$$$"), ("$$(X)", "$$$$(X)")):
        assert escaped(text) == sent


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"spot": True, "queue_for": 5.0}, "spot"),
        ({"boot_disk_gb": 5}, "boot_disk_gb"),
        ({"families": ["x9"]}, "x9"),
        ({"network": "n", "network_attachment": "a"}, "network_attachment"),
        ({"location": "Frankfurt"}, "region"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_they_are_made(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        VertexStepOperator(**{"project": "p", "location": "europe-west4", **fields})


def test_every_field_of_the_operator_is_tried_in_this_file() -> None:
    """Whoever adds a setting asserts here what becomes of it."""
    names = [each.name for each in fields(VertexStepOperator)]
    tried = Path(__file__).read_text(encoding="utf-8")
    elsewhere = {"project", "key", "impersonate", "endpoint_url", "connect_timeout", "read_timeout", "attempts", "poll_interval", "location"}
    assert [name for name in names if name not in elsewhere and f'"{name}"' not in tried and f"{name}=" not in tried] == []
    assert Registry.load().declared_class("step_operator", "vertex") is VertexStepOperator
