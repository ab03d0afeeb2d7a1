"""Makes the container images that a plan's steps run in, where nobody made them before."""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dovetail.components.container_registry import ContainerRegistry
from dovetail.components.image_builder import ImageBuilder
from dovetail.errors import ConfigurationError
from dovetail.planning.images import ImageSpec
from dovetail.planning.wheels import kept_wheel
from dovetail.planning.workspace import Workspace
from dovetail.values.plan import Decision, Plan

_PLACE = "/opt/dovetail"
_QUIET = ("--no-cache-dir", "--disable-pip-version-check", "--root-user-action=ignore", "--no-input")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def provide_images(plan: Plan, workspace: Workspace, say: Callable[[str], None] = _say) -> None:
    """Build, and push where the stack has a registry, what the plan's steps run in and is not there yet.

    Raises ImageError where one cannot be built or pushed, ConfigurationError where what was planned is not here any more.
    """
    wanted = {step.image for step in plan.steps if step.image and step.decision in (Decision.RUN, Decision.LATER)}
    for reference in sorted(wanted & plan.images.keys()):
        provide_image(ImageSpec.from_json(plan.images[reference]), reference, workspace, say)


def provide_image(spec: ImageSpec, reference: str, workspace: Workspace, say: Callable[[str], None] = _say) -> bool:
    """Whether it had to be built."""
    builder, registry = workspace.stack.build(ImageBuilder), workspace.stack.build(ContainerRegistry)
    if builder is None:
        raise ConfigurationError(f"Image {reference} has to be built, and stack '{workspace.stack.name}' has no image builder. Add one.")
    if (registry.find(reference) is not None) if registry is not None else builder.find(reference):
        return False
    began = time.monotonic()
    built = not builder.find(reference)
    if built:
        say(f"Building image {reference}: {_described(spec)}")
        with tempfile.TemporaryDirectory(prefix="dovetail-image-") as folder:
            write_context(spec, Path(folder), builder)
            builder.build(Path(folder), reference)
    if registry is not None:
        say(f"Pushing image {reference}")
        registry.make_place(reference)
        builder.push(reference, registry)
    say(f"Image {reference} is there after {time.monotonic() - began:.1f} s")
    return built


def write_context(spec: ImageSpec, folder: Path, builder: ImageBuilder) -> None:
    """The Dockerfile of a spec and the files that it copies; the builder says how pip gets at its indexes."""
    (folder / "Dockerfile").write_text("\n".join([*_dockerfile(spec, builder), ""]), encoding="utf-8")
    hashed = [line for line in spec.pins if "--hash=" in line]
    lists = {
        "hashed.txt": hashed,
        "pins.txt": [line for line in spec.pins if line not in hashed],
        "open.txt": spec.open,
        "constraints.txt": [line.partition(" --hash=")[0] for line in spec.pins if re.match(r"[\w.-]+==", line)],
    }
    for name, lines in lists.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for name, expected in spec.wheels:
        (folder / "wheels").mkdir(exist_ok=True)
        (folder / "wheels" / name).write_bytes(kept_wheel(name, expected))


def _dockerfile(spec: ImageSpec, builder: ImageBuilder) -> list[str]:
    lines = [f"FROM {spec.base}", f"LABEL dovetail.spec={spec.tag}", f"RUN python -c {shlex.quote(_checks_python(spec.python))}"]
    if spec.apt:
        names = " ".join(spec.apt)
        lines.append(f"RUN apt-get update && apt-get install -y --no-install-recommends {names} && rm -rf /var/lib/apt/lists/*")
    hashed = any("--hash=" in line for line in spec.pins)
    if spec.pins or spec.open:
        lines.append(f"COPY *.txt {_PLACE}/")
    if hashed:
        lines.append(builder.install([*_QUIET, "--no-deps", "--require-hashes", "-r", f"{_PLACE}/hashed.txt"]))
    if any("--hash=" not in line for line in spec.pins):
        lines.append(builder.install([*_QUIET, "--no-deps", "-r", f"{_PLACE}/pins.txt"]))
    if spec.open:
        lines.append(builder.install([*_QUIET, "-c", f"{_PLACE}/constraints.txt", "-r", f"{_PLACE}/open.txt"]))
    if spec.wheels:
        files = [f"{_PLACE}/wheels/{name}" for name, _ in spec.wheels]
        options = [*_QUIET, "--no-index", "--no-deps", "--force-reinstall"]  # the base may have one of the same version
        lines += [f"COPY wheels {_PLACE}/wheels", f"RUN python -m pip install {' '.join([*options, *files])}"]
    return lines


def _checks_python(wanted: str) -> str:
    """A base that is named in full may have another Python than the one that everything was chosen for."""
    cure = f"and Python {wanted} is wanted. Name a base that has it, or write {{python}} in its name."
    return f'import sys; found = "%d.%d" % sys.version_info[:2]; found == "{wanted}" or sys.exit("The base image has Python " + found + ", {cure}")'


def _described(spec: ImageSpec) -> str:
    count = len(spec.pins) + len(spec.open) + len(spec.wheels)
    more = f", {len(spec.apt)} Debian package{'s' if len(spec.apt) != 1 else ''}" if spec.apt else ""
    return f"{spec.base}, Python {spec.python}, {count} distributions{more}"
