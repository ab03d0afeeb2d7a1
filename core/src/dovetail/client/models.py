"""Models and their versions, as queries give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dovetail.client.deployments import DeploymentRecords, RunningDeployment
from dovetail.client.promoting import Promotion, approver, asked_by, policy_of, scored
from dovetail.client.views import Artifact, Named, Query, Run
from dovetail.errors import PromotionRefused
from dovetail.execution.scope import StepScope, current
from dovetail.planning.readings import model_reading
from dovetail.values.model import ModelStage, PromotionPolicy, checked_stage
from dovetail.values.requirement import Requirement


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model."""

    query: Query
    name: str
    version: int
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<model {self.name} version {self.version}: {self.stage}>"

    @property
    def stage(self) -> str:
        return self.query.ledger.versions.stages(self.name).get(self.version, "none")

    @property
    def run(self) -> Run:
        return self.query.run(self.record["run"])

    @property
    def created(self) -> datetime:
        return datetime.fromtimestamp(self.record["at"], timezone.utc)

    @property
    def artifacts(self) -> Mapping[str, Artifact]:
        """Every output of the run that made the version, by output name; of two with one name, the later step's."""
        return Named("artifact", {name: artifact for step in self.run.steps.values() for name, artifact in step.outputs.items()})

    @property
    def deployments(self) -> list[RunningDeployment]:
        """What serves it, or served it last under its name; `.status` asks."""
        found = DeploymentRecords(self.query.workspace).list_deployments()
        return [deployment for deployment in found if deployment.model == (self.name, self.version)]

    @property
    def users(self) -> list[Run]:
        """Runs that used it without making it, the newest first."""
        runs: list[Run] = self.query.list_runs(limit=None)
        return [run for run in runs if run.id != self.record.get("run") and self._is_used_by(run)]

    def _is_used_by(self, run: Run) -> bool:
        used = {**run.header.get("pins", {}), **run.header.get("used", {})}
        return any(number == self.version and key.rpartition("@")[0] == self.name for key, number in used.items())

    def get_artifact(self, name: str) -> Artifact:
        """Raises NotFound."""
        found: Artifact = self.artifacts[name]
        return found

    def load_artifact(self, name: str) -> Any:
        return self.get_artifact(name).load()

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric that its run logged."""
        found = {name: value for step in self.run.steps.values() for name, value in step.metrics.items()}
        scope = current()
        if scope is not None and scope.step_run.run_id == self.record.get("run"):  # what this very step logged is in no record yet
            found.update({name: points[-1][0] for name, points in scope.metrics.items()})
        return found

    @property
    def metadata(self) -> dict[str, Any]:
        said = dict(self.record.get("metadata", {}))
        for step in self.run.steps.values():
            said.update((step.outcome or {}).get("model_metadata", {}))
        for change in self.query.later("model", f"{self.name}/{self.version}"):
            said.update(change.get("metadata", {}))
        return said

    @property
    def description(self) -> str | None:
        return self.record.get("description")

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.record.get("tags", ()))

    @property
    def license(self) -> str | None:
        return self.record.get("license")

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """What was decided of its stages, newest first, refusals among it: `stage`, `at`, `refused`, `gates`, `approved_by`, `by`, `reason`, …"""
        return [record for _, record in self.query.ledger.versions.stage_log(self.name) if record["version"] == self.version]

    @property
    def approvals(self) -> list[dict[str, Any]]:
        """What each person said last: `by`, `stage`, `approves` (yes or no), `at`, `comment`."""
        return self.query.ledger.versions.approvals(self.name, self.version)

    def approve(self, stage: str | ModelStage = ModelStage.PRODUCTION, *, by: str | None = None, comment: str | None = None, approves: bool = True) -> ModelVersion:
        """Say that a person agrees with this version in that stage, or does not; what a person says later counts instead.

        `by`: who; git's `user.email` where it is not said. Raises ConfigurationError where that is nobody, NotFound for a version that is gone.
        """
        record = {"stage": checked_stage(stage), "by": approver(by), "approves": "yes" if approves else "no", **({"comment": comment} if comment else {})}
        self.query.ledger.versions.approve(self.name, self.version, record)
        return self

    def promote(
        self,
        stage: str | ModelStage,
        *,
        require: Sequence[str] | str = (),
        approvals: int = 0,
        score: Callable[[ModelVersion], Mapping[str, float]] | None = None,
        reason: str | None = None,
        force: bool = False,
    ) -> ModelVersion:
        """Give it a stage; whichever version held `staging` or `production` before is archived.

        `require`, `approvals`: kept to besides the policy that the version was recorded with. `score`: gives a version's metrics as they
        are now, such as on today's data, for this version and for each that a gate names; without it the metrics of their runs count.
        `force`: promote all the same, and record what was not kept to. Whoever loses a race decides anew with what won.
        Raises PromotionRefused, ConfigurationError for no stage, NotFound for a version that is gone.
        """
        wanted, ledger, scope = checked_stage(stage), self.query.ledger, current()
        policy = policy_of(self._recorded(), wanted, PromotionPolicy(tuple([require] if isinstance(require, str) else require), approvals))

        def metrics_of(number: int) -> Mapping[str, float] | None:
            record = self.record if number == self.version else ledger.versions.model(self.name, number)
            if record is None:
                return None
            other = ModelVersion(self.query, self.name, number, record)
            return scored(score, other, other.metrics) if score is not None else other.metrics

        promotion = Promotion(ledger, self.name, self.version, wanted, policy, metrics_of, asked_by(reason), force)
        try:
            ledger.versions.promote(self.name, self.version, wanted, promotion.decide)
        except PromotionRefused as error:
            ledger.versions.refuse(self.name, self.version, wanted, str(error), error.evidence)
            if scope is not None:
                self._note_held(scope, wanted, policy, error.evidence["held_before"])
                self._note_own(scope)
            raise
        if "model_registry" in self.query.workspace.stack.components:
            self._tell_registry(wanted)
        if scope is not None:
            scope.note(model_reading(self.name, wanted, self.version))
            self._note_own(scope)
        return self

    def _tell_registry(self, wanted: str) -> None:
        """Of several who promote at once the last to tell it tells whom the ledger has."""
        from dovetail.execution.registering import tell_stage

        tell_stage(self.query.workspace, self.name, self.version, wanted)
        if wanted in ("staging", "production"):
            holder = next((number for number, stage in self.query.ledger.versions.stages(self.name).items() if stage == wanted), self.version)
            if holder != self.version:
                tell_stage(self.query.workspace, self.name, holder, wanted)

    def _note_held(self, scope: StepScope, wanted: str, policy: PromotionPolicy, held: Mapping[str, int]) -> None:
        """A step that was refused is run again when what it lost against is another."""
        named = {wanted, *(Requirement.parse(text).other for text in policy.require)}
        for stage in named & {"staging", "production"}:
            scope.note(model_reading(self.name, str(stage), held.get(str(stage))))

    def _note_own(self, scope: StepScope) -> None:
        """A step that decides of its own run's version is run again for the next one, whatever it takes."""
        if self.record.get("run") == scope.step_run.run_id:
            scope.note(model_reading(self.name, None, self.version))

    def _recorded(self) -> Mapping[str, Any]:
        """In a step, the version that its own run works on is not read from the ledger yet."""
        return self.query.ledger.versions.model(self.name, self.version) or self.record


@dataclass(frozen=True)
class RegisteredModel:
    """A model's versions, newest first."""

    name: str
    versions: list[ModelVersion]

    @property
    def latest(self) -> ModelVersion:
        return self.versions[0]
