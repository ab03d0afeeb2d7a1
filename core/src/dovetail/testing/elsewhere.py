"""Other processes that are given a component as a stack file would give it, and begin at once to ask something of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from dovetail.components.component import Component
from dovetail.testing import answering
from dovetail.testing.given import UNDECLARED
from dovetail.testing.trial import TrialProject


@contextlib.contextmanager
def elsewhere(project: TrialProject, component: Component, question: str, arguments: list[list[Any]]) -> Iterator[list[Any]]:
    """One process for each list of arguments; gives their answers to the question, one of `answering.QUESTIONS`."""
    spec = project.spec_of(component)
    assert spec.flavor != UNDECLARED, (
        f"{type(component).__name__} is no flavor of an installed plugin, so no other process can make it. "
        f"Install the plugin: pip install -e ."
    )
    asked = {"type": spec.component_type, **spec.to_json(), "question": question}
    processes = [_start({**asked, "arguments": given}) for given in arguments]
    try:
        for process in processes:
            assert _line(process) == answering.READY, (
                "the other process could not make the component; what it said is in standard error"
            )
        for process in processes:
            _say(process, "go")
        yield [json.loads(_line(process)) for process in processes]
    finally:
        for process in processes:
            process.communicate()


def _start(asked: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", answering.__name__]
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
