"""Each setting of runs on Vertex AI Pipelines is in the request that the service receives, and what cannot be is refused before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from google_fake import GoogleFake
from pipelines_fake import PipelinesFake

from dovetail import Resources, pipeline, step
from dovetail.components import Credentials, Job, JobGraph, Secret
from dovetail.errors import ConfigurationError, PreflightFailed
from dovetail.registry import Registry
from dovetail.testing.trial import TrialProject, isolate, project_in
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail_gcp.vertex_orchestrator import VertexOrchestrator
from dovetail_gcp.vertex_tracker import VertexTracker

IMAGE = "europe-west4-docker.pkg.dev/p/images/train:1"
KEY = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"
LABELS = {"dovetail.run": "01abc", "dovetail.run-name": "Tunnel Run 7", "dovetail.pipeline": "tunnel", "dovetail.stack": "cloud"}


def job(name: str = "train-01abc-1", **more: Any) -> Job:
    return Job(name, ["-m", "dovetail.execution", "gcs:///runs/01abc", "train", "--in-graph"], **{"image": IMAGE, **more})


def graph(*jobs: Job, **more: Any) -> JobGraph:
    return JobGraph("7unnel-01abc-1", "Tunnel_Run", "01abc", jobs or [job()], **{"labels": LABELS, **more})


def orchestrator(google: GoogleFake, **more: Any) -> VertexOrchestrator:
    made = VertexOrchestrator(project="p", location="europe-west4", endpoint_url=google.url, **{"pipeline_root": "gs://b/root", **more})
    return made.called("pipes", "vertex")  # type: ignore[return-value]


@pytest.fixture
def received(google: GoogleFake) -> Any:
    """Starts a graph on an orchestrator of these fields, and gives what the service received."""
    PipelinesFake(google)

    def received(asked: JobGraph | None = None, /, **more: Any) -> dict[str, Any]:
        orchestrator(google, **more).start(asked or graph())
        body: dict[str, Any] = google.received("POST", "/pipelineJobs")[-1].body
        return body

    return received


def container_of(body: dict[str, Any]) -> dict[str, Any]:
    [executor] = body["pipelineSpec"]["deploymentSpec"]["executors"].values()
    found: dict[str, Any] = executor["container"]
    return found


def at(found: Any, place: str) -> Any:
    for name in place.split("."):
        found = found[name]
    return found


def test_a_graph_is_a_pipeline_with_a_task_for_each_job(received: Any, google: GoogleFake) -> None:
    jobs = [
        job("load-1", labels={"dovetail.step": "load"}),
        job("train-1", labels={"dovetail.step": "train"}, after=["load-1"], retries=2, resources=Resources(cpu=2.5, memory="4GB"), variables={"A": "b"}),
    ]
    body = received(graph(*jobs))
    command = {"image": IMAGE, "command": ["python"], "args": ["-m", "dovetail.execution", "gcs:///runs/01abc", "train", "--in-graph"]}
    resources = {"cpuLimit": 2.5, "resourceCpuLimit": "2.5", "memoryLimit": 4.0, "resourceMemoryLimit": "4000M"}
    assert google.received("POST", "/pipelineJobs")[0].query == {"pipelineJobId": "p-7unnel-01abc-1"}
    assert body == {
        "displayName": "Tunnel Run 7",
        "pipelineSpec": {
            "pipelineInfo": {"name": "tunnel-run"},
            "deploymentSpec": {
                "executors": {
                    "exec-load-1": {"container": command},
                    "exec-train-1": {"container": {**command, "env": [{"name": "A", "value": "b"}], "resources": resources}},
                }
            },
            "components": {"comp-load-1": {"executorLabel": "exec-load-1"}, "comp-train-1": {"executorLabel": "exec-train-1"}},
            "root": {
                "dag": {
                    "tasks": {
                        "load-1": {"taskInfo": {"name": "load"}, "componentRef": {"name": "comp-load-1"}, "cachingOptions": {}},
                        "train-1": {
                            "taskInfo": {"name": "train"},
                            "componentRef": {"name": "comp-train-1"},
                            "cachingOptions": {},
                            "dependentTasks": ["load-1"],
                            "retryPolicy": {"maxRetryCount": 2, "backoffDuration": "0s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"},
                        },
                    }
                }
            },
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.16.0",
        },
        "runtimeConfig": {"gcsOutputDirectory": "gs://b/root", "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST"},
        "labels": {"dovetail-run": "01abc", "dovetail-run-name": "tunnel-run-7", "dovetail-pipeline": "tunnel", "dovetail-stack": "cloud"},
    }


@pytest.mark.parametrize(
    ("given", "place", "value"),
    [
        ({"service_account": "s@p.iam.gserviceaccount.com"}, "serviceAccount", "s@p.iam.gserviceaccount.com"),
        ({"network": "projects/1/global/networks/n"}, "network", "projects/1/global/networks/n"),
        ({"reserved_ip_ranges": ["r1", "r2"]}, "reservedIpRanges", ["r1", "r2"]),
        ({"network_attachment": "a"}, "pscInterfaceConfig", {"networkAttachment": "a"}),
        ({"encryption_key": KEY}, "encryptionSpec", {"kmsKeyName": KEY}),
        ({"preflight_validations": True}, "preflightValidations", True),
        ({"pipeline_root": "gs://other/place"}, "runtimeConfig.gcsOutputDirectory", "gs://other/place"),
        ({"labels": {"Team": "Fraud & Risk"}}, "labels.team", "fraud---risk"),
    ],
)
def test_a_setting_of_the_run_is_in_the_request(received: Any, given: dict[str, Any], place: str, value: Any) -> None:
    assert at(received(**given), place) == value


@pytest.mark.parametrize(
    ("given", "place", "value"),
    [
        ({"python": "/opt/bin/python3"}, "command", ["/opt/bin/python3"]),
        ({"variables": {"A": "b"}}, "env", [{"name": "A", "value": "b"}]),
        ({"image": "eu.gcr.io/p/other:2"}, "image", "eu.gcr.io/p/other:2"),
        (
            {"accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 2},
            "resources.accelerator", {"type": "NVIDIA_TESLA_T4", "count": "2", "resourceType": "NVIDIA_TESLA_T4", "resourceCount": "2"},
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by", ["component", "step"])
def test_a_setting_of_a_task_is_in_the_request_whoever_says_it(received: Any, given: dict[str, Any], place: str, value: Any, by: str) -> None:
    asked = graph(job(image=None if "image" in given else IMAGE, settings=given if by == "step" else {}))
    assert at(container_of(received(asked, **given if by == "component" else {})), place) == value


@pytest.mark.parametrize(
    ("resources", "found"),
    [
        (Resources(), None),
        (Resources(cpu=0.5), {"cpuLimit": 0.5, "resourceCpuLimit": "0.5"}),
        (Resources(memory="20GiB"), {"memoryLimit": 21.475, "resourceMemoryLimit": "21475M"}),
        (Resources(gpu=1, gpu_type="nvidia-l4"), {"accelerator": {"type": "NVIDIA_L4", "count": "1", "resourceType": "NVIDIA_L4", "resourceCount": "1"}}),
        (Resources(gpu=2), {"accelerator": {"type": "NVIDIA_TESLA_T4", "count": "2", "resourceType": "NVIDIA_TESLA_T4", "resourceCount": "2"}}),
    ],
)
def test_what_a_step_asks_for_is_in_the_request(received: Any, resources: Resources, found: dict[str, Any] | None) -> None:
    assert container_of(received(graph(job(resources=resources)))).get("resources") == found


def test_other_portable_settings_are_in_the_request(received: Any) -> None:
    body = received(graph(job(variables={"MODE": "a$(B)c"}), keep_going=True))
    assert body["runtimeConfig"]["failurePolicy"] == "PIPELINE_FAILURE_POLICY_FAIL_SLOW"
    assert container_of(body)["env"] == [{"name": "MODE", "value": "a$$(B)c"}]


def test_the_services_own_files_go_to_the_artifact_stores_bucket(google: GoogleFake) -> None:
    PipelinesFake(google)
    address = "gcs:///runs/01abc?path=%22gs%3A%2F%2Fmine%2Fstore%22"
    orchestrator(google, pipeline_root=None).start(graph(Job("a-1", ["-m", "dovetail.execution", address, "a"], image=IMAGE)))
    assert google.received("POST", "/pipelineJobs")[0].body["runtimeConfig"]["gcsOutputDirectory"] == "gs://mine/vertex-pipelines"
    with pytest.raises(ConfigurationError, match="Set `pipeline_root`"):
        orchestrator(google, pipeline_root=None).start(graph(Job("a-1", ["-m", "dovetail.execution", "s3:///runs/1?path=%22s3%3A%2F%2Fb%22"], image=IMAGE)))


@pytest.mark.parametrize("given", [{"secrets": {"TOKEN": "planted"}}, {"credentials": {"AWS_SECRET_ACCESS_KEY": "planted"}}])
def test_no_secret_is_shown_to_who_may_see_pipelines(google: GoogleFake, given: dict[str, Any]) -> None:
    PipelinesFake(google)
    with pytest.raises(ConfigurationError, match="secret store of flavor `gcp`") as caught:
        orchestrator(google).start(graph(job(**given)))
    assert "planted" not in str(caught.value)
    assert google.asked == []


def test_an_image_that_the_service_cannot_pull_is_refused_before() -> None:
    made = VertexOrchestrator(project="p", location="europe-west4", pipeline_root="gs://b/r")
    with pytest.raises(ConfigurationError, match="gar"):
        made.start(graph(job(image="registry.example.com/a:1", login=Credentials("registry.example.com", "me", Secret("x")))))
    with pytest.raises(ConfigurationError, match="has no image"):
        made.start(graph(job(image=None)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"location": "europe"}, "location"),
        ({"pipeline_root": "s3://b"}, "gs://BUCKET"),
        ({"network": "n", "network_attachment": "a"}, "network_attachment"),
        ({"scheduled_at_once": 0}, "scheduled_at_once"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        VertexOrchestrator(**{"project": "p", "location": "europe-west4", **given})


# -- what a pipeline cannot have, before the run -----------------------------------------------------------------------


@step(settings={"vertex": {"machine_type": "c2-standard-8"}})
def of_a_machine() -> int:
    return 1


@step(settings={"vertex": {"service_account": "other@p"}})
def of_another() -> int:
    return 1


@step(resources=Resources(cpu=100))
def too_large() -> int:
    return 1


@step(resources=Resources(gpu=3))
def odd() -> int:
    return 1


@step(resources=Resources(disk="50GiB"))
def with_disk() -> int:
    return 1


@pipeline
def unfit() -> None:
    of_a_machine()
    of_another()
    too_large()
    odd()
    with_disk()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as made:
        yield made


def test_what_a_pipeline_cannot_give_a_step_is_refused_before_anything_is_submitted(google: GoogleFake, project: TrialProject, tmp_path: Path) -> None:
    with pytest.raises(PreflightFailed) as caught:
        project.on(orchestrator(google, image=IMAGE), LocalArtifactStore(path=tmp_path / "s")).plan(unfit)
    said = str(caught.value)
    assert "machine_type" in said
    assert re.search(r"Step 'of_another', by [a-z ]+ '[^']+': `service_account`\ is\ the\ whole\ run's\ on\ Vertex\ AI", said)
    assert re.search(r"Step 'too_large', by [a-z ]+ '[^']+': A\ container\ of\ a\ pipeline\ of\ Vertex\ AI\ has\ at\ most\ 96\ cores", said)
    assert re.search(r"Step 'odd', by [a-z ]+ '[^']+': No\ machine\ of\ Vertex\ AI's\ families", said)
    assert "disk" in said
    assert google.received("POST", "/pipelineJobs") == []


def test_a_secret_that_only_a_variable_could_bring_to_a_worker_is_refused_before_anything_is_submitted(
    google: GoogleFake, project: TrialProject, tmp_path: Path
) -> None:
    tracker = VertexTracker(project="p", location="europe-west4", endpoint_url=google.url, key=Secret("planted"))
    with pytest.raises(PreflightFailed, match="who may look at jobs of orchestrator 'vertex-") as caught:
        project.on(orchestrator(google, image=IMAGE), LocalArtifactStore(path=tmp_path / "s"), tracker).plan(project.pipelines.diamond)
    assert "planted" not in str(caught.value)
    assert google.received("POST", "/pipelineJobs") == []


def test_every_field_of_the_orchestrator_is_tried_in_these_files() -> None:
    """Whoever adds a setting asserts here what becomes of it."""
    names = [each.name for each in fields(VertexOrchestrator)]
    tried = Path(__file__).read_text(encoding="utf-8") + Path(__file__).with_name("test_vertex_pipeline_runs.py").read_text(encoding="utf-8")
    elsewhere = {"project", "key", "impersonate", "endpoint_url", "connect_timeout", "read_timeout", "attempts", "location"}
    assert [name for name in names if name not in elsewhere and f'"{name}"' not in tried and f"{name}=" not in tried] == []
    assert Registry.load().declared_class("orchestrator", "vertex") is VertexOrchestrator
