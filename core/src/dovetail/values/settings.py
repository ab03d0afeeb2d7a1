"""The portable settings of steps and pipelines: honoured by a stack or refused before the run, never dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dovetail.errors import DefinitionError

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?\s*", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


@dataclass(frozen=True)
class Retry:
    """`max_retries`: attempts after the first. `delay`: seconds before the first retry, multiplied by `backoff` for each next.

    `on`: retry only for exceptions of these classes, given as classes or as their names; by default for every one.
    """

    max_retries: int = 1
    delay: float = 0.0
    backoff: float = 1.0
    on: tuple[type[BaseException] | str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_retries < 0 or self.delay < 0 or self.backoff < 1:
            raise DefinitionError(
                f"Retry(max_retries={self.max_retries}, delay={self.delay}, backoff={self.backoff}) cannot be: "
                "max_retries and delay are 0 or more, backoff is 1 or more."
            )
        on = self.on if isinstance(self.on, (tuple, list)) else (self.on,)
        object.__setattr__(self, "on", tuple(cls if isinstance(cls, str) else cls.__name__ for cls in on))

    def seconds_before(self, retry: int) -> float:
        """How long to wait before the retry of that number, the first being 1."""
        return float(self.delay * self.backoff ** (retry - 1))

    def covers(self, error: BaseException) -> bool:
        return not self.on or any(cls.__name__ in self.on for cls in type(error).__mro__)


@dataclass(frozen=True)
class Resources:
    """`cpu`: cores, may be a fraction. `memory`: bytes, or text such as `"512MiB"` or `"2GB"`. `gpu`: devices."""

    cpu: float | None = None
    memory: int | str | None = None
    gpu: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.memory, str):
            object.__setattr__(self, "memory", parse_size(self.memory))
        for name in ("cpu", "memory", "gpu"):
            amount = getattr(self, name)
            if amount is not None and (isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0):
                raise DefinitionError(f"Resources({name}={amount!r}) cannot be: give a number that is 0 or more.")

    @property
    def memory_bytes(self) -> int | None:
        return int(self.memory) if self.memory is not None else None


@dataclass(frozen=True)
class Environment:
    """What a step's process needs. `env`: environment variables, set for this step alone.

    `python`, `requirements`, `apt` and `image` say what the process runs in, where the orchestrator makes it.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    requirements: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    image: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "requirements", tuple(self.requirements))
        object.__setattr__(self, "apt", tuple(self.apt))
        wrong = [name for name, value in self.env.items() if not isinstance(name, str) or not isinstance(value, str)]
        if wrong:
            raise DefinitionError(f"Environment(env=…) maps strings to strings; {wrong[0]!r} does not. Write its value as text.")

    @property
    def builds(self) -> bool:
        """Whether it asks for more than environment variables."""
        return bool(self.python or self.requirements or self.apt or self.image)


@dataclass(frozen=True)
class Schedule:
    """When an orchestrator starts runs by itself. `cron`: five fields. `timezone`: an IANA name."""

    cron: str
    timezone: str = "UTC"


def parse_size(text: str) -> int:
    """Bytes for `"512MiB"` (binary), `"2GB"` (decimal) or `"100"`. Raises DefinitionError for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise DefinitionError(f"{text!r} is no amount of memory; write it like '512MiB', '2GB' or a number of bytes.")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _POWERS[match[2].upper()])


def plain(settings: Any) -> dict[str, Any]:
    """A setting as JSON, without what was not said."""
    return {name: _listed(value) for name, value in asdict(settings).items() if value not in (None, (), {})}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
