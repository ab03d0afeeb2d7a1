"""What the other process of `elsewhere` runs: it makes the component, says so, waits for the word, and answers one question."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dovetail.components import ArtifactStore, ModelDeployer
from dovetail.components.component import Component
from dovetail.registry import Registry
from dovetail.stack.stack import ComponentSpec, Stack
from dovetail.values.project import find_project

READY = "ready"


def create_many(store: Any, place: str, count: int, content: str) -> list[int]:
    """The paths of which this process was told that it made them."""
    assert isinstance(store, ArtifactStore)
    return [number for number in range(count) if store.create(f"{place}/{number}", content.encode())]


def ask(deployer: Any, handle: dict[str, Any], rows: list[list[float]]) -> list[Any]:
    """What this process sees of a deployment."""
    assert isinstance(deployer, ModelDeployer)
    return [deployer.status(handle).value, deployer.predict(handle, rows)]


def move_large(store: Any, path: str, source: str, target: str) -> int:
    """Make an object of a file and fetch it; gives by how many bytes this process grew at the most."""
    import resource  # not on every system

    assert isinstance(store, ArtifactStore)
    store.create("warm", b"x")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert store.create(path, Path(source))
    store.fetch(path, Path(target))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return grown * (1 if sys.platform == "darwin" else 1024)


QUESTIONS = {question.__name__: question for question in (create_many, ask, move_large)}


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    answers, sys.stdout = sys.stdout, sys.stderr
    component = _component(asked)
    answers.write(READY + "\n")
    answers.flush()
    sys.stdin.readline()
    answers.write(json.dumps(QUESTIONS[asked["question"]](component, *asked["arguments"])) + "\n")


def _component(asked: dict[str, Any]) -> Component | None:
    spec = ComponentSpec(asked["type"], asked["flavor"], asked["name"], asked["configuration"])
    return Stack("elsewhere", [spec], registry=Registry.load(), project=find_project(Path.cwd())).build(spec.component_type)


if __name__ == "__main__":
    main()
