"""A lineage as lines of text. The longest path runs down one column; what leaves it branches off to the right."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dovetail.client.lineage import OUTSIDE, Lineage, LineageStep
from dovetail.values.amounts import bytes_in_words, seconds_in_words

MARKS = {
    "completed": "●", "cached": "○", "failed": "✗", "skipped": "◌", "cancelled": "⊘", "interrupted": "⊘", "running": "◐",
}  # fmt: skip
_WAITING = "·"
_LONGEST = 70  # characters of parameters, of a reason
Paint = Callable[[str, str], str]


def tree(lineage: Lineage, paint: Paint = lambda status, text: text) -> Iterator[str]:
    """`paint` is given a status, and text that tells of it."""
    return _Tree(lineage, paint).lines()


class _Tree:
    """Each step stands once, below the last of those that it takes something from; what else it takes is written beside it."""

    def __init__(self, lineage: Lineage, paint: Paint) -> None:
        self._lineage = lineage
        self._paint = paint
        self._order = {name: number for number, name in enumerate(lineage.steps)}
        self._below: dict[str | None, list[str]] = {}
        for step in lineage.steps.values():
            self._below.setdefault(self._parent(step), []).append(step.name)
        self._depth = self._depths()

    def lines(self) -> Iterator[str]:
        """Depth first, without recursion: a chain may be thousands of steps long."""
        pending = [(name, "", "") for name in reversed(self._below.get(None, []))]
        while pending:
            name, column, joint = pending.pop()
            below = sorted(self._below.get(name, []), key=lambda child: self._depth[child])
            yield from self._step_lines(self._lineage.steps[name], column, joint, going_on=bool(below))
            if below:
                pending.append((below[-1], column, column))
                pending += [(child, f"{column}│ ", f"{column}├─") for child in reversed(below[:-1])]

    def _parent(self, step: LineageStep) -> str | None:
        upstream = {producer for producer, _ in step.takes if producer != OUTSIDE} or set(step.awaits)
        earlier = [name for name in upstream if self._order.get(name, len(self._order)) < self._order[step.name]]
        return max(earlier, key=self._order.__getitem__, default=None)

    def _depths(self) -> dict[str, int]:
        """How many steps follow each on its longest way down; later steps stand behind earlier ones in the order."""
        depths: dict[str, int] = {}
        for name in reversed(self._order):
            depths[name] = 1 + max((depths[child] for child in self._below.get(name, [])), default=0)
        return depths

    def _step_lines(self, step: LineageStep, column: str, joint: str, *, going_on: bool) -> Iterator[str]:
        mark = self._paint(step.status, MARKS.get(step.status, _WAITING))
        facts = " · ".join(fact for fact in self._facts(step) if fact)
        yield f"{joint}{mark} {step.name}  {facts}"
        inside = column + ("│  " if going_on else "   ")
        for key in step.gives:
            artifact = self._lineage.artifacts[key]
            if artifact.digest is not None:
                about = [_type(artifact.type), bytes_in_words(artifact.size) if artifact.size is not None else ""]
                yield f"{inside} ↳ {artifact.label}  {' · '.join(part for part in about if part)}".rstrip()

    def _facts(self, step: LineageStep) -> Iterator[str]:
        took = f" {seconds_in_words(step.took)}" if step.took is not None else ""
        yield self._paint(step.status, f"{step.status}{took}")
        if step.children:
            yield f"{sum(step.children.values())} children: {', '.join(f'{count} {status}' for status, count in step.children.items())}"
        if step.error or (step.why and step.status != "cached"):
            yield _cut(step.error or step.why or "")
        yield _cut(", ".join(f"{name} {value}" for name, value in step.parameters.items()))
        yield self._others(step)

    def _others(self, step: LineageStep) -> str:
        parent = self._parent(step)
        taken = [self._lineage.artifacts[key].full_label for key in step.takes if key[0] != parent]
        waits = [name for name in step.awaits if name != parent]
        said = [f"takes {'also ' if parent else ''}{', '.join(taken)}"] if taken else []
        return " · ".join([*said, *([f"after {', '.join(waits)}"] if waits else [])])


def _type(name: str | None) -> str:
    return (name or "").rpartition(":")[2].rpartition(".")[2]


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
