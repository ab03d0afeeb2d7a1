"""One worker that an engine starts, and what is asked of it while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.components.container_registry import Credentials
from dovetail.values.settings import Resources


@dataclass(frozen=True)
class Job:
    """`name`: another for each attempt of each step of each run; lower-case letters, digits and '-', at most 63 of them.

    `command`: the worker's command line, without the Python before it. `image`: what it runs in, None for the engine's own
    Python. `variables`: to set for its process. `secrets`: likewise, and to show nowhere. `credentials`: variables by which
    the submitter reaches what the stack's components keep; for engines whose workers have no credentials of their own.
    `login`: to the registry that the image is pulled from. `folders`: where components of the stack keep things on the submitter's machine, which the worker needs at the same paths.
    `timeout`: seconds after which an engine that can should stop it; the worker and the driver do so too. `labels`: where it
    comes from. `settings`: what the step has for this very component. `after` and `retries` are for jobs of a graph: the names
    of the jobs that have to succeed before this one starts, and how often one that was lost is started again.
    """

    name: str
    command: Sequence[str]
    image: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: Credentials | None = None
    folders: Sequence[Path] = ()
    resources: Resources = field(default_factory=Resources)
    timeout: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    after: Sequence[str] = ()
    retries: int = 0


@dataclass(frozen=True)
class JobGraph:
    """What is left of a run, for an engine that keeps the order itself. `jobs`: each behind those that it waits for.

    `name`: as a job's name. `pipeline`: as its author calls it. `run`: the run's id. `keep_going`: jobs that do not wait for a failed one
    start all the same; else none starts after a failure. `labels`: where all of it comes from.
    """

    name: str
    pipeline: str
    run: str
    jobs: Sequence[Job]
    keep_going: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


class RunningJob(ABC):
    """What an engine started. Errors of a connection are ConnectionError: then only the ledger tells how the step fares."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where a person finds it: the engine's own name for it, or a URL."""

    @abstractmethod
    def wait(self, seconds: float) -> int | None:
        """Its exit code, once it has ended within so many seconds; else None. A job that is gone has ended, with -1."""

    @abstractmethod
    def stop(self) -> None:
        """End it, and what belongs to it; no error when it has ended."""

    @abstractmethod
    def explain(self) -> str:
        """A sentence on how it ended, such as that it ran out of memory, with the end of what it printed; empty when nothing is known."""

    def queued(self) -> bool:
        """Whether it waits for a machine still, by what `wait` heard last; the timeout of its step begins after that."""
        return False

    def close(self) -> None:  # noqa: B027  # most engines keep nothing that has to be let go
        """Let go of what the engine keeps of a job that has ended."""
