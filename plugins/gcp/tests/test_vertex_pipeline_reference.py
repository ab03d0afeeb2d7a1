"""The pipelines that are sent are those that Kubeflow's compiler makes, and what surrounds them is what Vertex AI's reference describes."""

from __future__ import annotations

import importlib.util
import json
import warnings
from typing import Any

import pytest
from google_fake import GoogleFake
from pipelines_fake import PipelinesFake
from test_vertex_pipeline_requests import IMAGE, graph, job, orchestrator

from dovetail.components import Job, JobGraph
from dovetail.values.settings import Resources, Schedule

pytestmark = pytest.mark.skipif(importlib.util.find_spec("kfp") is None, reason="kfp is not installed")
COMMAND = ["-m", "dovetail.execution", "gcs:///runs/01abc", "train", "--in-graph"]


def kfp() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kfp
        from kfp import compiler, components, dsl  # noqa: F401
    return kfp


def sent(google: GoogleFake, asked: JobGraph, **fields: Any) -> dict[str, Any]:
    PipelinesFake(google)
    orchestrator(google, **fields).start(asked)
    body: dict[str, Any] = google.received("POST", "/pipelineJobs")[-1].body
    return body


def wide() -> list[Job]:
    return [
        job("load", labels={"dovetail.step": "Load it"}, variables={"A": "b", "C": "d"}),
        job("train", after=["load"], retries=3, resources=Resources(cpu=2.5, memory="4GB", gpu=1, gpu_type="L4")),
        job("score", after=["load", "train"], resources=Resources(memory="512MB")),
    ]


def compiled() -> dict[str, Any]:
    """What Kubeflow's own compiler makes of the same graph."""
    dsl = kfp().dsl

    def made(name: str) -> Any:
        def container() -> Any:
            return dsl.ContainerSpec(image=IMAGE, command=["python"], args=COMMAND)

        container.__name__, container.__annotations__ = name, {}  # which the compiler would take for an output
        return dsl.container_component(container)

    def described() -> None:
        load = made("load")().set_caching_options(False).set_display_name("Load it").set_env_variable("A", "b").set_env_variable("C", "d")
        train = made("train")().set_caching_options(False).after(load).set_retry(3).set_cpu_limit("2.5").set_memory_limit("4000M")
        train.set_accelerator_type("NVIDIA_L4").set_accelerator_limit(1)
        made("score")().set_caching_options(False).after(load, train).set_memory_limit("512M")

    from google.protobuf import json_format

    described.__annotations__ = {}
    found: dict[str, Any] = json_format.MessageToDict(dsl.pipeline(name="tunnel-run")(described).pipeline_spec)
    return found


def test_a_pipeline_is_what_kubeflows_compiler_makes_of_the_same_graph(google: GoogleFake) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = compiled()
    found = sent(google, graph(*wide()))["pipelineSpec"]
    assert found.pop("sdkVersion").partition("-")[0] == wanted.pop("sdkVersion").partition("-")[0]
    assert found == wanted


def test_kubeflow_reads_every_field_of_a_pipeline(google: GoogleFake) -> None:
    spec = sent(google, graph(*wide()))["pipelineSpec"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = kfp().components.load_component_from_text(json.dumps(spec)).pipeline_spec
        from google.protobuf import json_format

        assert json_format.MessageToDict(loaded) == spec


def types() -> Any:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
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
        {"network": "projects/1/global/networks/n", "reserved_ip_ranges": ["r"], "service_account": "s", "preflight_validations": True},
        {"network_attachment": "a", "encryption_key": "k", "labels": {"a": "b"}},
    ],
)
def test_what_is_sent_is_a_pipeline_job(google: GoogleFake, fields: dict[str, Any]) -> None:
    found = read("PipelineJob", sent(google, graph(*wide(), keep_going=True), **fields))
    assert found.runtime_config.failure_policy.name == "PIPELINE_FAILURE_POLICY_FAIL_SLOW"
    assert set(found.pipeline_spec["root"]["dag"]["tasks"]) == {"load", "train", "score"}


def test_what_is_sent_is_a_schedule(google: GoogleFake) -> None:
    PipelinesFake(google)
    orchestrator(google).schedule("tunnel", Schedule("0 6 * * *", "Europe/Berlin"), graph())
    found = read("Schedule", google.received("POST", "/schedules")[0].body)
    assert (found.cron, found.max_concurrent_run_count) == ("TZ=Europe/Berlin 0 6 * * *", 1)
