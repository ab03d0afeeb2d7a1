"""Another process that is given a component as a stack file would give it, and asked something of it.

It waits for the word before it begins, so that several begin at once.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dovetail.components.component import Component
from dovetail.registry import Registry
from dovetail.stack.stack import ComponentSpec, Stack
from dovetail.testing.trial import UNDECLARED, TrialProject, spec_of
from dovetail.values.imports import load_object
from dovetail.values.project import find_project

_READY = "ready"


@contextlib.contextmanager
def elsewhere(project: TrialProject, component: Component, question: str, arguments: list[list[Any]]) -> Iterator[list[Any]]:
    """One process for each list of arguments; gives the answers of `question` (an import string), called with component and arguments."""
    spec = spec_of(component, project.registry)
    assert spec.flavor != UNDECLARED, (
        f"{type(component).__name__} is no flavor of an installed plugin, so no other process can make it. Install the plugin: pip install -e ."
    )
    asked = {"type": spec.component_type, **spec.to_json(), "question": question}
    processes = [_start({**asked, "arguments": given}) for given in arguments]
    try:
        for process in processes:
            assert _line(process) == _READY, "the other process could not make the component; what it said is above"
        for process in processes:
            _say(process, "go")
        yield [json.loads(_line(process)) for process in processes]
    finally:
        for process in processes:
            process.communicate()


def _start(asked: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", __spec__.name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    _say(process, json.dumps(asked))
    return process


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    answers, sys.stdout = sys.stdout, sys.stderr
    spec = ComponentSpec(asked["type"], asked["flavor"], asked["name"], asked["configuration"])
    component = Stack("elsewhere", [spec], registry=Registry.load(), project=find_project(Path.cwd())).build(spec.component_type)
    question = load_object(asked["question"])
    print(_READY, file=answers, flush=True)
    sys.stdin.readline()
    print(json.dumps(question(component, *asked["arguments"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
