"""The registry of Vertex AI keeps the contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google_fake import GoogleFake, Problem
from models_fake import ModelsFake
from storage_emulator import Emulator, emulator

from dovetail.components import RegistryEntry
from dovetail.errors import ConfigurationError
from dovetail.testing import ModelRegistryContract
from dovetail_gcp.artifact_store import GcsArtifactStore
from dovetail_gcp.errors import GoogleError
from dovetail_gcp.vertex_model_registry import VertexModelRegistry, model_id


@pytest.fixture(scope="module")
def storage() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(autouse=True)
def storage_here(storage: Emulator, monkeypatch: pytest.MonkeyPatch, own_google: None) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.url)


@pytest.fixture
def fake(google: GoogleFake) -> ModelsFake:
    return ModelsFake(google)


@pytest.fixture
def model_registry(google: GoogleFake, fake: ModelsFake) -> VertexModelRegistry:
    return registry_at(google)


def registry_at(google: GoogleFake, **fields: Any) -> VertexModelRegistry:
    given = {
        "project": "p",
        "location": "europe-west4",
        "endpoint_url": google.url,
        "image": "serving:1",
        "bucket": f"gs://trial/{uuid.uuid4().hex}",
        **fields,
    }
    return VertexModelRegistry(**given).called("models", "vertex")  # type: ignore[return-value]


class TestVertexModelRegistry(ModelRegistryContract):
    pass


def test_a_version_has_the_files_of_the_runs_model_and_what_serves_them(
    model_registry: VertexModelRegistry, fake: ModelsFake, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "weights.bin").write_bytes(b"w")
    entry = RegistryEntry("scales", 3, run_id="r", model=tmp_path, type="m:Scales", materializer="m:ScalesMaterializer")
    model_registry.register(entry)
    [found] = fake.models["scales"]
    assert GcsArtifactStore(path=found["artifactUri"]).read("deep/weights.bin") == b"w"
    spec = found["containerSpec"]
    assert (spec["imageUri"], spec["command"], spec["predictRoute"], spec["healthRoute"]) == (
        "serving:1", ["python", "-m", "dovetail_gcp.vertex_serving"], "/predict", "/health"
    )  # fmt: skip
    assert '"materializer": "m:ScalesMaterializer"' in spec["env"][0]["value"]


def test_settings_are_in_the_request(google: GoogleFake, fake: ModelsFake) -> None:
    registry_at(google, encryption_key="k", labels={"Team": "x"}, python="/opt/python").register(RegistryEntry("scales", 1))
    [found] = fake.models["scales"]
    assert (found["encryptionSpec"], found["labels"]["team"], found["containerSpec"]["command"][0]) == ({"kmsKeyName": "k"}, "x", "/opt/python")


def test_the_version_in_production_has_the_alias(model_registry: VertexModelRegistry, fake: ModelsFake) -> None:
    for version in (1, 2):
        model_registry.register(RegistryEntry("scales", version))
        model_registry.set_stage("scales", version, "production")
    assert [each["versionAliases"] for each in fake.models["scales"]] == [["default"], ["production"]]


def test_a_description_that_a_person_has_edited_is_kept_as_it_is(model_registry: VertexModelRegistry, fake: ModelsFake) -> None:
    model_registry.register(RegistryEntry("scales", 1, description="mine"))
    fake.models["scales"][0]["versionDescription"] = "dovetail: is great"
    assert model_registry.versions("scales")[0].description == "dovetail: is great"


def test_versions_that_others_made_are_left_alone(model_registry: VertexModelRegistry, fake: ModelsFake) -> None:
    model_registry.register(RegistryEntry("scales", 1))
    fake.models["scales"].insert(0, {**fake.models["scales"][0], "versionId": "7", "labels": {}, "versionAliases": []})
    assert [each.version for each in model_registry.versions("scales")] == [1]
    model_registry.delete("scales", 1)
    assert [each["versionId"] for each in fake.models["scales"]] == ["7"]


def test_ids_are_those_that_the_service_takes() -> None:
    assert model_id("scales") == "scales"
    assert len({model_id(name) for name in ("Scales", "scales", "s.cales", "7", "größe " * 30)}) == 5
    assert all(len(model_id(name)) <= 63 for name in ("x" * 200, "größe " * 30))


def test_rights_that_lack_are_told_with_the_role(model_registry: VertexModelRegistry, google: GoogleFake) -> None:
    google.refused.append(
        ("POST .*/models:upload", Problem(403, "PERMISSION_DENIED", "Permission 'aiplatform.models.upload' denied", "IAM_PERMISSION_DENIED"))
    )
    with pytest.raises(GoogleError, match=r"aiplatform\.models\.upload.*--role=roles/aiplatform\.user"):
        model_registry.register(RegistryEntry("scales", 1))


def test_a_bucket_that_is_none_is_refused(google: GoogleFake) -> None:
    with pytest.raises(ConfigurationError, match="gs://"):
        registry_at(google, bucket="/tmp/models")
