"""Data validation in pipelines, and the words for it: `from dovetail.validation import Check, gate, validate_data, verdict_of`.

    @pipeline
    def training():
        reference, current = load()
        validation, report, data = validate_data(reference, current, checks=["quality", Check("drift", require=["drifted_share < 0.3"])])
        train(current, after=gate(validation))
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from dovetail.authoring.in_step import log_metadata, log_metrics
from dovetail.authoring.step import step
from dovetail.client.client import Client
from dovetail.components.data_validator import DataValidator
from dovetail.errors import ConfigurationError, DefinitionError, ValidationFailed, near
from dovetail.execution.scope import current as current_step
from dovetail.values.artifacts import ArtifactConfig, ArtifactType
from dovetail.values.validation import Check, Finding, Validation, Verdict

__all__ = ["Check", "Finding", "Validation", "Verdict", "gate", "validate_data", "verdict_of"]

_MOST_TOLD = 10  # findings in an error
_STOPS = {"fail": (Verdict.FAIL,), "warn": (Verdict.WARN, Verdict.FAIL)}
_Report = ArtifactConfig("validation_report", ArtifactType.DATA_ANALYSIS)
_Data = ArtifactConfig("validation_data", ArtifactType.DATA_ANALYSIS)


@step(data_validator=True)
def validate_data(
    reference: Any, current: Any, checks: list[str | Check]
) -> tuple[Annotated[Validation, "validation"], Annotated[str, _Report], Annotated[Any, _Data]]:
    """Look at `current`, compared with `reference` unless that is None, with the stack's data validator.

    Gives the validation, the validator's report as an HTML page, and the same as JSON; each metric is logged. Whatever the verdict,
    the step succeeds: `gate` stops what follows.
    """
    validator: Any = Client().active_stack.data_validator
    if not isinstance(validator, DataValidator):
        raise ConfigurationError("The active stack has no data validator. Choose a stack that has, or make one: dovetail stack register … --data-validator NAME.")
    found = validator.validate(reference, current, checks)
    if current_step() is not None:
        log_metrics(found.metrics)
        log_metadata(verdict=found.verdict.value)
    return found, found.html, {"verdict": found.verdict.value, "validator": found.validator, "metrics": found.metrics, "report": found.report}


@step
def gate(validation: Validation, stop_on: Literal["fail", "warn"] = "fail") -> str:
    """The verdict, where it lets pass what comes `after=` this step.

    Raises ValidationFailed, naming the findings, for `fail`, and for `warn` as well with `stop_on="warn"`.
    """
    stops = _STOPS[stop_on]
    if validation.verdict not in stops:
        return validation.verdict.value
    told = [str(each) for each in validation.broken if each.verdict in stops]
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    raise ValidationFailed(
        f"The data did not pass: {validation.verdict.value}, says {validation.validator}. {'; '.join(told[:_MOST_TOLD])}{more}. "
        "Look at the report, dovetail artifacts show validation --open, and mend the data, or change what the checks require.",
        validation,
    )


@step
def verdict_of(validation: Validation, check: str | None = None) -> str:
    """The verdict as text, of all checks or of the one with this label: `with when(verdict_of(validation, check="drift") != "pass"):`."""
    if check is None:
        return validation.verdict.value
    findings = [each for each in validation.findings if each.check == check]
    if not findings:
        raise DefinitionError(f"The validation has no check '{check}'. {near(check, {each.check for each in validation.findings})}")
    return Verdict.worst([each.verdict for each in findings]).value
