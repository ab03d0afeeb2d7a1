"""Images of Bentos, by a real engine and a real registry; what they install is in the base already, so that no build needs an index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.components.serving.client import ask
from dovetail.errors import ConfigurationError, DefinitionError
from dovetail_bentoml import build_image
from dovetail_bentoml.image import write_context
from dovetail_docker import testing
from dovetail_docker.container_registry import OciRegistry
from dovetail_docker.image_builder import DockerImageBuilder

_TOKEN = "the token of this test"


@pytest.fixture(scope="module")
def engine() -> Iterator[testing.DockerEngine]:
    try:
        started = testing.DockerEngine().__enter__()
    except testing.Unavailable as reason:
        pytest.skip(str(reason))
    yield started
    started.__exit__()


@pytest.fixture(scope="module")
def registry() -> Iterator[OciRegistry]:
    try:
        started = testing.LocalRegistry().__enter__()
    except testing.Unavailable as reason:
        pytest.skip(str(reason))
    yield OciRegistry(uri=f"{started.uri}/team").called("registry", "oci")
    started.__exit__()


def test_an_image_is_built_once_pushed_and_serves(bentos: Any, engine: testing.DockerEngine, registry: OciRegistry) -> None:
    bento = bentos.build("own")
    base = testing.installed_image(engine, "dovetail-bentoml")
    builder = DockerImageBuilder(host=engine.host, base=base, network="host", no_index=True).called("builder", "docker")
    reference = build_image(bento, image_builder=builder, container_registry=registry)
    assert registry.find(reference) is not None
    image = engine.client().images.get(reference)
    assert image.attrs["Config"]["User"] == "1034:1034"
    assert build_image(bento, image_builder=builder, container_registry=registry) == reference
    assert engine.client().images.get(reference).id == image.id
    port = testing.free_port()
    container = engine.client().containers.run(
        reference, ["--host", "127.0.0.1", "--port", str(port)], network_mode="host", detach=True, environment={"DOVETAIL_BENTOML_TOKEN": _TOKEN},
        user="root",  # in this base Python may lie where nobody else looks
    )  # fmt: skip
    try:
        status, answer = _asked(container, f"http://127.0.0.1:{port}", [[0.0], [9.0]])
        assert (status, answer["predictions"]) == (200, [False, True])
        assert ask(f"http://127.0.0.1:{port}", "/predict", {"instances": [[0.0]]}, "", 10)[0] == 401
    finally:
        container.remove(force=True)


def _asked(container: Any, url: str, rows: list[list[float]]) -> tuple[int, dict[str, Any]]:
    until = time.monotonic() + 60
    while True:
        try:
            return ask(url, "/predict", {"instances": rows}, _TOKEN, 10)
        except OSError:
            container.reload()
            if container.status == "exited" or time.monotonic() > until:
                pytest.fail(container.logs().decode()[-3000:])
            time.sleep(0.2)



def test_no_line_of_the_dockerfile_follows_from_what_a_user_said(bentos: Any, tmp_path: Path) -> None:
    labels = {"a\nRUN touch /owned": "$(id) {{ 1 }}"}
    builder = DockerImageBuilder()
    written = []
    for name, bento in (("plain", bentos.build("own")), ("hostile", bentos.build("own", labels=labels))):
        (tmp_path / name).mkdir()
        write_context(bento, tmp_path / name, builder, "python:3.11-slim")
        written.append((tmp_path / name / "Dockerfile").read_text())
    assert written[0] == written[1]
    assert "owned" not in written[0]


def test_what_is_no_bento_and_a_stack_without_a_builder_are_told(bentos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.testing.trial import isolate

    isolate(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError, match="Give it what `build_bento` returns"):
        build_image("iris:1")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigurationError, match="has no image builder"):
        build_image(bentos.build("own"))
