"""Every error that Dovetail raises on purpose.

A message is a sentence: what is wrong, where, what was seen, and the change or command that cures it.

    DovetailError
    ├── DefinitionError        a step, pipeline or model that cannot be what it says
    │   └── GraphError         several of these, found while tracing one pipeline
    ├── ParameterError         a value that does not fit its annotation
    ├── NameRefused            a name that could not be stored everywhere
    ├── ConfigurationError     a stack, component, project file or option
    │   ├── NotFound           no such thing, with the nearest names
    │   ├── PluginBroken       a plugin that is installed and cannot be used
    │   └── PreflightFailed    everything that checks before a run found
    ├── StoreError             the artifact store cannot be used as asked
    │   ├── NewerLayout        written by a later Dovetail
    │   └── Corrupt            bytes that are not what was written
    ├── MaterializerError      a value that cannot be saved or loaded
    ├── PromotionRefused       a model version that does not keep to what its stage asks; carries `.evidence`
    ├── DeploymentError        a deployment that does not serve
    ├── AlertError             an alert that could not be delivered
    ├── ValidationError        a data validator that could not measure what it was asked
    │   └── ValidationFailed   data that did not pass a gate; carries `.validation`
    ├── ImageError             a container image that cannot be built, found or moved
    ├── StepFailed             a step raised; `__cause__` is its exception
    │   └── WorkerLost         the process or machine that ran it has gone
    ├── StepTimeout            a step ran longer than its timeout
    ├── RunCancelled           the run was asked to stop
    └── RunFailed              a run ended without completing; carries `.run`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class DovetailError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class DefinitionError(DovetailError, TypeError):
    exit_code = 2


class GraphError(DefinitionError):
    """All problems found while tracing a pipeline, in the order in which they stand in it."""

    def __init__(self, pipeline: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(numbered(f"Pipeline '{pipeline}' cannot be run as written", problems))


class ParameterError(DovetailError, ValueError):
    exit_code = 2


class NameRefused(DovetailError, ValueError):
    exit_code = 2


class ConfigurationError(DovetailError):
    exit_code = 2


class NotFound(ConfigurationError, KeyError):
    """`kind` and `name` say what was looked for; `known` are the names that exist."""

    __str__ = Exception.__str__  # a KeyError's own would show the sentence in quotes

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), cure: str = "") -> None:
        self.kind, self.name = kind, name
        super().__init__(" ".join(part for part in (f"There is no {kind} '{name}'.", near(name, known), cure) if part))


class PluginBroken(ConfigurationError):
    pass


class PreflightFailed(ConfigurationError):
    """Everything that the checks before a run found wrong."""

    exit_code = 1

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(numbered(f"{subject} cannot start", problems))


class StoreError(DovetailError):
    pass


class NewerLayout(StoreError):
    pass


class Corrupt(StoreError):
    pass


class MaterializerError(DovetailError):
    pass


class PromotionRefused(DovetailError):
    """`evidence`: the gates with what they compared, and the approvals that there were."""

    def __init__(self, message: str, evidence: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.evidence = dict(evidence or {})


class DeploymentError(DovetailError):
    pass


class AlertError(DovetailError):
    pass


class ValidationError(DovetailError):
    pass


class ValidationFailed(ValidationError):
    """Data that did not pass. `validation`: what was found, None where the error comes from another process."""

    def __init__(self, message: str, validation: Any = None) -> None:
        super().__init__(message)
        self.validation = validation


class ImageError(DovetailError):
    pass


class StepFailed(DovetailError, RuntimeError):
    pass


class WorkerLost(StepFailed):
    pass


class StepTimeout(DovetailError, TimeoutError):
    pass


class RunCancelled(DovetailError):
    pass


class RunFailed(DovetailError, RuntimeError):
    """A run that ended without completing.

    `run` is the run as the client sees it; `__cause__` is the exception of the first step that failed, where it
    was raised in this process.
    """

    def __init__(self, message: str, run: Any = None) -> None:
        super().__init__(message)
        self.run = run


def near(name: str, known: Iterable[str]) -> str:
    """A sentence with the closest known names, or the known names when none is close."""
    names = sorted(set(known))
    if not names:
        return ""
    import difflib

    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(n) for n in close)}?"
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"Known: {shown}."


def numbered(heading: str, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"{heading}: {problems[0]}"
    lines = [f"{heading}; {len(problems)} problems:"]
    lines += [f"  {number}. {problem}" for number, problem in enumerate(problems, 1)]
    return "\n".join(lines)
