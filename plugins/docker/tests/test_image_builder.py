"""Images built by a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Secret
from dovetail.errors import ImageError
from dovetail.testing import ImageBuilderContract
from dovetail_docker.container_registry import OciRegistry
from dovetail_docker.image_builder import DockerImageBuilder
from dovetail_docker.testing import DockerEngine


class TestDockerImageBuilder(ImageBuilderContract):
    @pytest.fixture
    def base(self, python_image: str) -> str:
        return python_image

    @pytest.fixture
    def container_registry(self, pushing_to: OciRegistry) -> OciRegistry:
        return pushing_to


def test_an_engine_that_is_away_is_told_with_the_cure(building: dict[str, Any]) -> None:
    away = DockerImageBuilder(**{**building, "host": "unix:///nowhere/docker.sock"}).called("mine", "docker")
    [problem] = away.check()
    assert "'mine'" in problem
    assert "Start it, or set `host`" in problem
    with pytest.raises(ImageError, match="does not answer"):
        away.find("x:y")


def test_the_versions_in_an_image_are_asked_of_its_python_once(image_builder: DockerImageBuilder, python_image: str, engine: DockerEngine) -> None:
    found = image_builder.versions_in(python_image)
    assert found is not None
    assert set(found) == {"pip"}
    again = image_builder.versions_in(python_image)
    assert again is found, "a container was started to ask again"


def test_an_image_without_python_is_told(image_builder: DockerImageBuilder, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /x\n")
    image_builder.build(tmp_path, "dovetail-test/empty:1")
    with pytest.raises(ImageError, match="no `python` that starts"):
        image_builder.versions_in("dovetail-test/empty:1")


def test_a_registry_that_refuses_is_told_without_the_password(
    image_builder: DockerImageBuilder, pushing_to: OciRegistry, python_image: str, engine: DockerEngine
) -> None:
    reference = pushing_to.reference("refused", "1")
    engine.client().images.get(python_image).tag(*reference.rsplit(":", 1))
    wrong = OciRegistry(uri=pushing_to.uri, username="tester", password=Secret("wr0ng-password")).called("registry", "oci")
    with pytest.raises(ImageError, match="could not be pushed to container registry 'registry'") as caught:
        image_builder.push(reference, wrong)
    assert "wr0ng-password" not in str(caught.value)


def test_platform_and_arguments_are_part_of_the_name_and_processors_are_known(building: dict[str, Any]) -> None:
    plain, arm = DockerImageBuilder(**building), DockerImageBuilder(**building, platform="linux/arm64/v8", build_args={"MIRROR": "x"})
    assert plain.traits() == {}
    assert arm.traits() == {"build-arg MIRROR": "x", "platform": "linux/arm64/v8"}
    assert arm.machine() == "aarch64"
