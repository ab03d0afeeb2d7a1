"""The Vertex step operator keeps the contract: its jobs are run by a real engine, as the requests describe them, with a bucket between."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator

import pytest
from google_fake import Problem
from storage_emulator import Emulator, emulator
from vertex_fake import VertexFake

from dovetail.components import ArtifactStore, Job
from dovetail.testing import StepOperatorContract
from dovetail_gcp.artifact_store import GcsArtifactStore
from dovetail_gcp.vertex_step_operator import VertexStepOperator


@pytest.fixture(scope="module")
def bucket() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


class TestVertexStepOperator(StepOperatorContract):
    @pytest.fixture
    def operator(self, vertex: VertexFake, python_image: str) -> VertexStepOperator:
        return VertexStepOperator(
            project="contract",
            location="europe-west4",
            endpoint_url=vertex.google.url,
            image=python_image,
            python=f"{sys.prefix}/bin/python",
            poll_interval=0.2,
        )

    @pytest.fixture
    def store(self, bucket: Emulator) -> ArtifactStore:
        return GcsArtifactStore(path=f"gs://trial/{uuid.uuid4().hex}", endpoint_url=bucket.url)


def test_what_a_worker_was_handed_is_taken_back_when_it_has_ended(vertex: VertexFake, python_image: str) -> None:
    operator = VertexStepOperator(
        project="contract",
        location="europe-west4",
        endpoint_url=vertex.google.url,
        image=python_image,
        python=f"{sys.prefix}/bin/python",
        poll_interval=0.1,
    )
    question = "import os, sys; sys.exit(os.environ['TOKEN'] != 'größe' or 'DOVETAIL_HANDED_SECRETS' in os.environ)"
    running = operator.start(Job("handed-1", ["-c", question], secrets={"TOKEN": "größe"}))
    while (code := running.wait(1.0)) is None:
        pass
    running.close()
    assert code == 0, running.explain()
    assert [asked.path for asked in vertex.google.received("DELETE", ".*")] == ["/v1/projects/contract/secrets/handed-1"]


def test_a_worker_that_may_not_read_what_it_was_handed_says_what_to_grant(vertex: VertexFake, python_image: str) -> None:
    vertex.google.refused.append(("GET .*:access", Problem(403, "PERMISSION_DENIED", "Permission 'secretmanager.versions.access' denied")))
    operator = VertexStepOperator(
        project="contract",
        location="europe-west4",
        endpoint_url=vertex.google.url,
        image=python_image,
        python=f"{sys.prefix}/bin/python",
        poll_interval=0.1,
    )
    running = operator.start(Job("handed-2", ["-c", "pass"], secrets={"TOKEN": "x"}))
    while (code := running.wait(1.0)) is None:
        pass
    assert code == 1
    assert "roles/secretmanager.secretAccessor" in running.explain()
