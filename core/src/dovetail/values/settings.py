"""The portable settings of steps and pipelines: honoured by a stack or refused before the run, never dropped."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dovetail.errors import DefinitionError
from dovetail.values.cron import read_cron

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?\s*", re.IGNORECASE)
_PYTHON = re.compile(r"3\.\d+(?:\.\d+)?")
_APT = re.compile(r"[a-z0-9][a-z0-9.+-]*(?::[a-z0-9]+)?(?:=[A-Za-z0-9.+:~-]+)?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}

_TIME_ZONE = re.compile(r"[A-Za-z0-9_+/-]+")
OVERLAP = ("skip", "allow", "cancel")
MISSED = ("latest", "skip", "all")


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
    """`cpu`: cores, may be a fraction. `memory`, `disk`: bytes, or text such as `"512MiB"` or `"2GB"`. `gpu`: devices.

    `gpu_type`: which, by the name that the engine has for them, such as `"nvidia-l4"`.
    """

    cpu: float | None = None
    memory: int | str | None = None
    gpu: int | None = None
    gpu_type: str | None = None
    disk: int | str | None = None

    def __post_init__(self) -> None:
        for name in ("memory", "disk"):
            said = getattr(self, name)
            if isinstance(said, str):
                object.__setattr__(self, name, parse_size(said, name))
        for name in ("cpu", "memory", "gpu", "disk"):
            amount = getattr(self, name)
            if amount is not None and (isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0):
                raise DefinitionError(f"Resources({name}={amount!r}) cannot be: give a number that is 0 or more.")
        if self.gpu_type is not None and not (isinstance(self.gpu_type, str) and self.gpu_type.strip()):
            raise DefinitionError(f"Resources(gpu_type={self.gpu_type!r}) cannot be: give the engine's name of it as text, such as 'nvidia-l4'.")
        if self.gpu_type is not None and not self.gpu:
            raise DefinitionError(f"Resources(gpu_type={self.gpu_type!r}) says of which type and not how many. Add gpu=1.")

    @property
    def memory_bytes(self) -> int | None:
        return int(self.memory) if self.memory is not None else None

    @property
    def disk_bytes(self) -> int | None:
        return int(self.disk) if self.disk is not None else None


@dataclass(frozen=True)
class Environment:
    """What a step's process needs. `env`: environment variables, set for this step alone.

    The others say what the process runs in, where the orchestrator makes it; where nothing is said, that is what the
    step's code imports, in the versions that are installed here.

    `python`: its version, such as `"3.11"`. `requirements`: added to what the code imports, or in place of it where they
    name the same. `lock`: a file of the project (`uv.lock`, `pylock.toml`, `requirements.txt`) which says everything;
    `pyproject`: likewise one whose `[project]` names the dependencies. `apt`: Debian packages. `image`: a container image
    to be used as it is.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    requirements: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    image: str | None = None
    pyproject: str | None = None
    lock: str | None = None

    def __post_init__(self) -> None:
        for name in ("requirements", "apt"):
            if isinstance(getattr(self, name), str):
                raise DefinitionError(f"Environment({name}={getattr(self, name)!r}) is a list; write it as [{getattr(self, name)!r}].")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("pyproject", "lock"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, os.fspath(getattr(self, name)))
        self._check()
        wrong = [name for name, value in self.env.items() if not isinstance(name, str) or not isinstance(value, str)]
        if wrong:
            raise DefinitionError(f"Environment(env=…) maps strings to strings; {wrong[0]!r} does not. Write its value as text.")

    @property
    def builds(self) -> bool:
        """Whether it asks for more than environment variables."""
        return bool(self.image or self.describes)

    @property
    def describes(self) -> bool:
        """Whether it says what an image is to be built of."""
        return bool(self.python or self.requirements or self.pyproject or self.lock or self.apt)

    def _check(self) -> None:
        if self.python is not None and not _PYTHON.fullmatch(self.python):
            raise DefinitionError(f"Environment(python={self.python!r}) is no version of Python; write it like '3.11'.")
        if self.pyproject and self.lock:
            raise DefinitionError("Environment(pyproject=…, lock=…) says twice what is installed. Give the lock alone.")
        if self.image and self.describes:
            raise DefinitionError(
                f"Environment(image={self.image!r}) is used as it is, so nothing else can be said of what it holds. Leave out the image or the rest."
            )
        wrong = [name for name in self.apt if not _APT.fullmatch(name)]
        if wrong:
            raise DefinitionError(f"Environment(apt=…) names {wrong[0]!r}, which is no name of a Debian package, such as 'git' or 'git=1:2.39.2-1'.")


@dataclass(frozen=True)
class Schedule:
    """When runs of a pipeline start by themselves. `cron`: five fields. `timezone`: an IANA name.

    `overlap`: what a moment does that comes while an earlier run of the schedule goes on: `"skip"` starts none, `"allow"` starts one
    all the same, `"cancel"` cancels the earlier one first. `missed`: what is made up of the moments at which no scheduler was there:
    the `"latest"`, `"all"` of them one after another, or none (`"skip"`); none that is more than 31 days ago.
    """

    cron: str
    timezone: str = "UTC"
    overlap: str = "skip"
    missed: str = "latest"

    def __post_init__(self) -> None:
        for name, known in (("overlap", OVERLAP), ("missed", MISSED)):
            if getattr(self, name) not in known:
                raise DefinitionError(f"Schedule({name}={getattr(self, name)!r}) is none of {', '.join(map(repr, known))}.")
        try:
            read_cron(self.cron)
        except (ValueError, AttributeError) as error:
            said = error if isinstance(self.cron, str) else "write five fields as text, such as '0 3 * * 1-5'"
            raise DefinitionError(f"Schedule(cron={self.cron!r}): {said}.") from None
        if not isinstance(self.timezone, str) or not _TIME_ZONE.fullmatch(self.timezone) or not _is_time_zone(self.timezone):
            raise DefinitionError(f"Schedule(timezone={self.timezone!r}) is no time zone; write an IANA name such as 'Europe/Berlin'.")


def _is_time_zone(name: str) -> bool:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # the others for a folder of the table, such as 'Europe'
        return not zoneinfo.available_timezones()  # a system without the table knows none
    return True


def parse_size(text: str, of: str = "memory") -> int:
    """Bytes for `"512MiB"` (binary), `"2GB"` (decimal) or `"100"`. Raises DefinitionError for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise DefinitionError(f"{text!r} is no amount of {of}; write it like '512MiB', '2GB' or a number of bytes.")
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _POWERS[match[2].upper()])


def plain(settings: Any) -> dict[str, Any]:
    """A setting as JSON, without what was not said."""
    return {name: _listed(value) for name, value in asdict(settings).items() if value not in (None, (), {})}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
