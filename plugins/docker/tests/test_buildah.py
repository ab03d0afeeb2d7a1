"""Images built by buildah, without a daemon."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovetail.components import Secret
from dovetail.errors import ImageError
from dovetail.execution.images import write_context
from dovetail.planning.images import ImageSpec
from dovetail.testing import ImageBuilderContract
from dovetail_docker.buildah_builder import BuildahImageBuilder
from dovetail_docker.container_registry import OciRegistry
from dovetail_docker.testing import DockerEngine, LocalRegistry
from index import PASSWORD, WheelIndex


@pytest.fixture(scope="session")
def base(engine: DockerEngine, python_image: str, registry: LocalRegistry) -> str:
    """The test engine's image, from where buildah can pull it."""
    name = f"{registry.uri}/python"
    client = engine.client()
    client.images.get(python_image).tag(name, "1")
    client.images.push(name, "1")
    return f"{name}:1"


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if shutil.which("buildah") is None:
        pytest.skip("there is no buildah here. Install it: `apt-get install buildah`.")
    folder = tmp_path_factory.mktemp("buildah")
    tried = subprocess.run(["buildah", "--root", str(folder / "images"), "--runroot", str(folder / "run"), "images"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"buildah does not work here: {tried.stderr.strip()[-300:]}")
    yield folder
    subprocess.run(["buildah", "--root", str(folder / "images"), "--runroot", str(folder / "run"), "rm", "--all"], capture_output=True)
    subprocess.run(["umount", "--lazy", str(folder / "images" / "overlay")], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def image_builder(storage: Path, base: str, wheels: WheelIndex) -> BuildahImageBuilder:
    made = BuildahImageBuilder(storage=storage, base=base, find_links=Secret(wheels.url), no_index=True, trusted_hosts=["127.0.0.1"])
    return made.called("builder", "buildah")


class TestBuildahImageBuilder(ImageBuilderContract):
    @pytest.fixture
    def container_registry(self, pushing_to: OciRegistry) -> OciRegistry:
        return pushing_to


def test_the_indexs_password_is_used_and_stays_nowhere(image_builder: BuildahImageBuilder, storage: Path, base: str, tmp_path: Path) -> None:
    spec = ImageSpec(base, f"3.{sys.version_info[1]}", "x86_64", pins=("pluggy==1.7.0",))
    write_context(spec, tmp_path, image_builder)
    image_builder.build(tmp_path, "localhost/dovetail-test/pluggy:1")
    found = image_builder.versions_in("localhost/dovetail-test/pluggy:1")
    assert found is not None
    assert found["pluggy"] == "1.7.0"
    assert subprocess.run(["grep", "-rlaF", PASSWORD, str(storage), str(tmp_path)], capture_output=True).stdout == b""


def test_a_failing_install_shows_no_password(image_builder: BuildahImageBuilder, base: str, tmp_path: Path) -> None:
    write_context(ImageSpec(base, f"3.{sys.version_info[1]}", "x86_64", pins=("no-such-thing==1",)), tmp_path, image_builder)
    with pytest.raises(ImageError, match="no-such-thing") as caught:
        image_builder.build(tmp_path, "localhost/dovetail-test/none:1")
    assert PASSWORD not in str(caught.value)


def test_a_missing_program_is_told_with_the_cure() -> None:
    [problem] = BuildahImageBuilder(program="no-such-buildah").called("mine", "buildah").check()
    assert problem == "Image builder 'mine' needs the program 'no-such-buildah', which is not on the PATH. Install buildah."
