"""Everything that is wrong with a stack, before a run finds out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from dovetail.components.artifact_store import ArtifactStore
from dovetail.components.component import Component
from dovetail.errors import DovetailError
from dovetail.stack.references import redact
from dovetail.stack.stack import ComponentSpec, Stack

OBLIGATORY = ("orchestrator", "artifact_store")
DEADLINE = 10.0  # seconds for all components, which are checked at the same time


def check_stack(stack: Stack, deadline: float = DEADLINE) -> list[str]:
    """One sentence, with its cure, for each thing that is wrong; nothing when the stack can be used.

    Components are checked at the same time; one that does not answer within `deadline` seconds is reported.
    """
    problems = [
        f"Stack '{stack.name}' has no {kind.replace('_', ' ')}. Add one with `dovetail stack update {stack.name} --{kind.replace('_', '-')} NAME`."
        for kind in OBLIGATORY
        if kind not in stack.components
    ]
    return problems + _all_found(stack, [_Check(stack, spec, _problems) for spec in stack.components.values()], deadline)


def check_components(stack: Stack, kinds: Iterable[str], deadline: float = DEADLINE) -> list[str]:
    """What the checks of these components find, as `check_stack` tells it."""
    return _all_found(stack, [_Check(stack, stack.components[kind], _own_problems) for kind in kinds], deadline)


def _all_found(stack: Stack, checks: Sequence[_Check], deadline: float) -> list[str]:
    for check in checks:
        check.start()
    problems: list[str] = []
    until = time.monotonic() + deadline
    for check in checks:
        check.join(max(until - time.monotonic(), 0.0))
        problems += check.found(deadline)
    return [redact(problem, stack.secrets()) for problem in problems]


class _Check(threading.Thread):
    def __init__(self, stack: Stack, spec: ComponentSpec, find: Callable[[Stack, ComponentSpec], list[str]]) -> None:
        super().__init__(name=f"check {spec.title}", daemon=True)
        self._stack, self._spec, self._find = stack, spec, find
        self._problems: list[str] | None = None

    def run(self) -> None:
        self._problems = self._find(self._stack, self._spec)

    def found(self, deadline: float) -> list[str]:
        if self._problems is not None:
            return self._problems
        return [
            f"{self._spec.title} did not answer within {deadline:g} s. Check its address and that it can be reached from here."
        ]


def _problems(stack: Stack, spec: ComponentSpec) -> list[str]:
    try:
        wrong = _configuration_problems(stack, spec)
        component = None if wrong else stack.build(spec.component_type)
    except DovetailError as error:
        return [str(error)]
    except Exception as error:
        return [f"{spec.title} cannot be made: {type(error).__name__}: {error}. Correct its configuration."]
    return wrong if component is None else _component_problems(spec, component)


def _own_problems(stack: Stack, spec: ComponentSpec) -> list[str]:
    component = stack.build(spec.component_type)
    return _component_problems(spec, component) if component is not None else []


def _configuration_problems(stack: Stack, spec: ComponentSpec) -> list[str]:
    from dovetail.stack.validation import validate

    cls = stack.registry.component_class(spec.component_type, spec.flavor)
    return [f"{spec.title} (flavor {spec.flavor}): {problem}" for problem in validate(cls, spec.configuration).problems]


def _component_problems(spec: ComponentSpec, component: Component) -> list[str]:
    tests: list[Callable[[], Iterable[str]]] = [component.check]
    if isinstance(component, ArtifactStore) and type(component).check is not ArtifactStore.check:
        tests.append(lambda: ArtifactStore.check(component))  # a flavor's own check cannot replace the proof of atomic create
    problems: list[str] = []
    for test in tests:
        try:
            problems += test()
        except Exception as error:
            problems.append(f"{spec.title} could not be checked: {type(error).__name__}: {error}. Correct its configuration.")
    return list(dict.fromkeys(problems))
