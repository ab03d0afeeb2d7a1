"""Bentos as container images, by the stack's image builder, for its container registry."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dovetail import digest
from dovetail.components import ContainerRegistry, ImageBuilder
from dovetail.errors import ConfigurationError, DefinitionError
from dovetail_bentoml.bento import SOURCE, Bento
from dovetail_bentoml.pins import WHEELS

LAYOUT = 1  # of an image; another for each change of it
_PLACE = "/opt/bento"
_HOME = "/opt/bentoml"  # where BentoML may write
_QUIET = ("--no-cache-dir", "--disable-pip-version-check", "--root-user-action=ignore", "--no-input")
_USER = "1034:1034"  # BentoML's own number for it; it owns nothing


def build_image(bento: Bento, *, image_builder: ImageBuilder | None = None, container_registry: ContainerRegistry | None = None) -> str:
    """Make the image that serves a Bento, push it where there is a registry, and give its reference; one that is there is not made again.

    By default image builder and container registry are the active stack's. The image serves at port 3000 and asks callers for the
    token in its variable DOVETAIL_BENTOML_TOKEN: `docker run -e DOVETAIL_BENTOML_TOKEN=… -p 3000:3000 <reference>`.
    Raises ImageError with the end of the log where it cannot be built or pushed.
    """
    if not isinstance(bento, Bento):
        raise DefinitionError(f"build_image was given a {type(bento).__name__}. Give it what `build_bento` returns.")
    builder, registry = (image_builder, container_registry) if image_builder is not None else _of_stack(container_registry)
    base = builder.base_image(bento.facts.python)
    surroundings = digest.of_json({"layout": LAYOUT, "base": base, "machine": builder.machine(), "traits": dict(builder.traits())})
    reference = (registry or builder).reference(bento.name, f"{bento.version}-{surroundings[:8]}")
    if registry is not None and registry.find(reference) is not None:
        return reference
    if not builder.find(reference):
        with tempfile.TemporaryDirectory(prefix="dovetail-bento-") as folder:
            write_context(bento, Path(folder), builder, base)
            builder.build(Path(folder), reference)
    if registry is not None:
        registry.make_place(reference)
        builder.push(reference, registry)
    return reference


def _of_stack(registry: ContainerRegistry | None) -> tuple[ImageBuilder, ContainerRegistry | None]:
    from dovetail import Client

    stack: Any = Client().active_stack
    builder = stack.image_builder
    if builder is None:
        raise ConfigurationError(
            f"Stack '{stack.name}' has no image builder to make an image by. Register one, such as `dovetail component register image-builder "
            "builder --flavor docker`, and add it to the stack."
        )
    return builder, registry or stack.container_registry


def write_context(bento: Bento, folder: Path, builder: ImageBuilder, base: str) -> None:
    """The Dockerfile and what it copies. What it installs is in layers of its own, which Bentos of one environment share."""
    shutil.copytree(bento.folder, folder / "bento", copy_function=shutil.copyfile)
    lines = (bento.folder / "env" / "python" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.strip() and not line.startswith("./")]
    (folder / "pins.txt").write_text("".join(f"{line}\n" for line in pins), encoding="utf-8")
    wheels = folder / "bento" / SOURCE / WHEELS
    if wheels.is_dir():
        wheels.rename(folder / WHEELS)
    (folder / "Dockerfile").write_text("\n".join([*_dockerfile(bento, folder, builder, base), ""]), encoding="utf-8")


def _dockerfile(bento: Bento, folder: Path, builder: ImageBuilder, base: str) -> Iterator[str]:
    """No line of it holds anything that came from a user, but for the base, which is the image builder's own."""
    yield f"FROM {base}"
    yield f"RUN python -c {shlex.quote(_checks_python(bento.facts.python))}"
    yield "COPY pins.txt /opt/pins.txt"
    yield builder.install([*_QUIET, "--no-deps", "-r", "/opt/pins.txt"])
    if (folder / WHEELS).is_dir():
        options = [*_QUIET, "--no-index", "--no-deps", "--force-reinstall"]  # the base may have one of the same version
        yield f"COPY {WHEELS} /opt/{WHEELS}"
        files = [f"/opt/{WHEELS}/{wheel.name}" for wheel in sorted((folder / WHEELS).iterdir())]
        yield f"RUN {shlex.join(['python', '-m', 'pip', 'install', *options, *files])}"
    yield f"RUN python -c {shlex.quote(f'import os; os.mkdir({_HOME!r}); os.chmod({_HOME!r}, 0o777)')}"
    yield f"ENV HOME={_HOME} BENTOML_HOME={_HOME} BENTOML_DO_NOT_TRACK=True PYTHONUNBUFFERED=1"
    yield f"COPY bento {_PLACE}"
    yield f"USER {_USER}"
    yield "EXPOSE 3000"
    yield f"ENTRYPOINT {json.dumps(['python', '-m', 'bentoml', 'serve', _PLACE])}"
    yield f"CMD {json.dumps(['--host', '0.0.0.0', '--port', '3000'])}"  # noqa: S104  # of the container; who runs it publishes what is to be reached


def _checks_python(wanted: str) -> str:
    cure = f"and the Bento was built with Python {wanted}. Name a base that has it, or write {{python}} in its name."
    return f'import sys; found = "%d.%d" % sys.version_info[:2]; found == "{wanted}" or sys.exit("The base image has Python " + found + ", {cure}")'
