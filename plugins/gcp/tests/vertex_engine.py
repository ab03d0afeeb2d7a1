"""Vertex AI Pipelines for a stack that really runs: the service on loopback, Kubeflow's local runner behind it, a Docker engine behind that.

    with vertex_engine() as configuration:
        VertexOrchestrator(**configuration)
"""

from __future__ import annotations

import compileall
import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import files
from pathlib import Path
from typing import Any

sys.path[:0] = [place for place in [str(Path(__file__).parent)] if place not in sys.path]

from google_fake import GoogleFake  # noqa: E402
from pipelines_fake import KfpRunner, PipelinesFake  # noqa: E402

from dovetail.planning.wheels import closure_of  # noqa: E402
from dovetail_docker.testing import DockerEngine, mounted_sources, python_image  # noqa: E402


@contextlib.contextmanager
def vertex_engine(order: str = "vertex") -> Iterator[dict[str, Any]]:
    """The configuration of a VertexOrchestrator. Raises dovetail_docker.testing.Unavailable where there is no Docker engine. `order`: as in kfp_runner.py."""
    with DockerEngine() as engine, KfpRunner(engine.host, order) as runner, GoogleFake() as google:
        fake = PipelinesFake(google, runner, engine.client(), mounted_here())
        try:
            yield configuration(fake, python_image(engine))
        finally:
            fake.close()


@contextlib.contextmanager
def pipelines_on(engine: DockerEngine, runner: KfpRunner, google: GoogleFake, volumes: Sequence[str]) -> Iterator[PipelinesFake]:
    """The service alone, on what runs already."""
    fake = PipelinesFake(google, runner, engine.client(), volumes)
    try:
        yield fake
    finally:
        fake.close()


def mounted_here() -> list[str]:
    """`mounted_sources`, with what workers import compiled, as each container would do it anew."""
    for distribution in closure_of(["dovetail-gcp"]):
        for file in files(distribution) or ():
            if file.suffix == ".py":
                compileall.compile_file(str(file.locate()), quiet=2)
    return mounted_sources()


def configuration(fake: PipelinesFake, image: str) -> dict[str, Any]:
    return {
        "project": "trial", "location": "europe-west4", "endpoint_url": fake.google.url, "pipeline_root": "gs://trial/pipelines", "image": image,
        "python": f"{sys.prefix}/bin/python", "poll_interval": 0.2,
    }  # fmt: skip
