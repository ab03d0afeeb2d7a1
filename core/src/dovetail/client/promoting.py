"""Giving a model version a stage: gates on metrics, people's approvals, and what is kept of the decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import ConfigurationError, DefinitionError, PromotionRefused, near, numbered
from dovetail.execution.scope import current, numbers
from dovetail.ledger.ledger import Ledger
from dovetail.values.model import PromotionPolicy
from dovetail.values.requirement import Requirement

Metrics = Callable[[int], Mapping[str, float] | None]


@dataclass
class Promotion:
    """One question, decided by what the stages are. `metrics`: those of a version by number, None where it is gone; asked once for each."""

    ledger: Ledger
    name: str
    version: int
    stage: str
    policy: PromotionPolicy
    metrics: Metrics
    said: Mapping[str, Any]
    force: bool = False
    _known: dict[int, Mapping[str, float] | None] = field(default_factory=dict)

    def decide(self, held: Mapping[int, str]) -> dict[str, Any]:
        """What is kept with the new stage. Raises PromotionRefused."""
        gates = [self._gate(Requirement.parse(text), held) for text in self.policy.require]
        approvals = self.ledger.versions.approvals(self.name, self.version, self.stage)
        evidence = {
            **self.said,
            **({"gates": gates} if gates else {}),
            **({"approved_by": self._counted(approvals)} if approvals or self.policy.approvals else {}),
            "held_before": {stage: number for number, stage in held.items() if stage in ("staging", "production")},
        }
        problems = [*(gate["why"] for gate in gates if not gate["kept"]), *self._unapproved(approvals)]
        if problems and not self.force:
            heading = f"Version {self.version} of model '{self.name}' cannot be promoted to {self.stage}"
            raise PromotionRefused(numbered(heading, problems), evidence)
        return {**evidence, **({"forced": problems} if problems else {})}

    def _gate(self, gate: Requirement, held: Mapping[int, str]) -> dict[str, Any]:
        value = (self._of(self.version) or {}).get(gate.metric)
        record: dict[str, Any] = {"require": gate.text, "value": value}
        if gate.other is None:
            kept = gate.holds(value)
            return {**record, "bound": gate.number, "kept": kept, "why": self._why(gate, value, gate.number, kept)}
        number = self._other(gate.other, held)
        if number is None:
            return {**record, "kept": True, "why": f"no other version is in {gate.other}"}
        against = (self._of(number) or {}).get(gate.of)
        if against is None:
            return {**record, "against": number, "kept": False, "why": self._lacking(gate, number)}
        kept = gate.holds(value, against)
        why = self._why(gate, value, gate.bound(against), kept, f" of version {number}")
        return {**record, "bound": gate.bound(against), "against": number, "kept": kept, "why": why}

    def _other(self, other: str, held: Mapping[int, str]) -> int | None:
        """Who is deleted at the moment at which it is promoted may be left in a stage, which nobody holds then."""
        if other.isdecimal():
            return int(other)
        number = max((number for number, stage in held.items() if stage == other), default=None)
        return None if number is None or number == self.version or self._of(number) is None else number

    def _lacking(self, gate: Requirement, number: int) -> str:
        metrics = self._of(number)
        if metrics is None:
            return f"{gate.text}: there is no version {number} of the model"
        where = "" if gate.other == str(number) else f", which is in {gate.other},"
        return f"{gate.text}: version {number}{where} has no metric '{gate.of}'. {near(gate.of, metrics)}".strip()

    def _why(self, gate: Requirement, value: float | None, bound: float, kept: bool, of: str = "") -> str:
        if value is None:
            known = self._of(self.version) or {}
            cure = near(gate.metric, known) if known else "Log it in a step of its run: log_metrics(…)."
            return f"{gate.text}: the version has no metric '{gate.metric}'. {cure}"
        seen, asked = (f"{value:.6g}", f"{bound:.6g}") if f"{value:.6g}" != f"{bound:.6g}" else (f"{value}", f"{bound}")
        return "" if kept else f"{gate.text}: {gate.metric} is {seen}, and {asked}{of} is to be kept to"

    def _of(self, number: int) -> Mapping[str, float] | None:
        if number not in self._known:
            self._known[number] = self.metrics(number)
        return self._known[number]

    def _counted(self, approvals: list[dict[str, Any]]) -> list[str]:
        return [record["by"] for record in approvals if record["approves"] == "yes" and self.policy.counts(record["by"])]

    def _unapproved(self, approvals: list[dict[str, Any]]) -> Iterator[str]:
        against = [record["by"] for record in approvals if record["approves"] == "no"]
        if against:
            yield f"{', '.join(against)} said no. Talk to them; who changes their mind approves again"
        lacking = self.policy.approvals - len(self._counted(approvals))
        if lacking > 0:
            who = f" of {', '.join(self.policy.approvers)}" if self.policy.approvers else ""
            yield (
                f"it has {len(self._counted(approvals))} of the {self.policy.approvals} approvals{who} that it needs. "
                f"Give one: dovetail models approve {self.name} {self.version} {self.stage}"
            )


def policy_of(record: Mapping[str, Any], stage: str, more: PromotionPolicy) -> PromotionPolicy:
    """What a version was recorded with, and what is asked besides."""
    kept = (record.get("promotion") or {}).get(stage)
    return PromotionPolicy(**kept).and_also(more) if kept else more


def scored(score: Callable[[Any], Mapping[str, float]], version: Any, of: Mapping[str, float]) -> dict[str, float]:
    """The metrics that were logged, with what `score` says now in their place."""
    said = score(version)
    if not isinstance(said, Mapping):
        raise DefinitionError(f"score= gave a {type(said).__name__} for version {version.version}; give metrics by name, such as {{'auc': 0.9}}.")
    return {**of, **numbers(said)}


def asked_by(reason: str | None) -> dict[str, Any]:
    """Who or what asks, as far as that is known."""
    scope, who = current(), git_identity()
    step = {"run": scope.step_run.run_id, "invocation": scope.step_run.name} if scope is not None else {}
    return {**step, **({"by": who} if who else {}), **({"reason": reason} if reason else {})}


def approver(by: str | None) -> str:
    """Raises ConfigurationError where nobody is named."""
    said = by if by is not None else git_identity() or ""
    person = said.strip() if isinstance(said, str) else ""
    if not person or not person.isprintable() or len(person) > 200:
        raise ConfigurationError("An approval is a person's: say whose with --by (by=), such as --by ada@example.org, or set git's user.email.")
    return person


def git_identity() -> str | None:
    """The user's e-mail address as git knows it."""
    import subprocess

    try:
        told = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told or None

