"""Models and their stages, as a pipeline or step names them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from dovetail.errors import ConfigurationError, DefinitionError, near
from dovetail.values.names import check_template, folded
from dovetail.values.requirement import Requirement


class ModelStage(str, enum.Enum):
    """One version of a model holds `staging`, and one `production`, at a time."""

    NONE = "none"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


STAGES = tuple(stage.value for stage in ModelStage)


def checked_stage(stage: str | ModelStage) -> str:
    """Raises ConfigurationError for no stage."""
    wanted = stage.value if isinstance(stage, ModelStage) else stage
    if wanted not in STAGES:
        raise ConfigurationError(f"{stage!r} is no stage of a model. {near(str(stage), STAGES)}")
    return str(wanted)


@dataclass(frozen=True)
class PromotionPolicy:
    """What a version must keep to before it is given a stage.

    `require`: gates such as `"auc >= production.auc"`; one that names a stage which no version holds is kept. `approvals`: how many
    people must have approved of that version for that stage; `approvers`: those who count, anybody when empty.
    """

    require: tuple[str, ...] = ()
    approvals: int = 0
    approvers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("require", "approvers"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        for text in self.require:
            Requirement.parse(text)
        if type(self.approvals) is not int or self.approvals < 0:
            raise DefinitionError(f"PromotionPolicy(approvals={self.approvals!r}) is no number of people.")
        people = len(set(map(folded, self.approvers)))
        if self.approvers and self.approvals > people:
            raise DefinitionError(f"PromotionPolicy(approvals={self.approvals}) asks for more approvals than its {people} approvers can give.")

    def and_also(self, other: PromotionPolicy) -> PromotionPolicy:
        """Both policies at once."""
        approvers = tuple(name for name in self.approvers or other.approvers if other.counts(name) and self.counts(name))
        if (self.approvers or other.approvers) and not approvers:
            raise DefinitionError("Two policies cannot be kept to at once: nobody is an approver of both.")
        return PromotionPolicy(tuple(dict.fromkeys((*self.require, *other.require))), max(self.approvals, other.approvals), approvers)

    def counts(self, person: str) -> bool:
        """Whether their approval does."""
        return not self.approvers or folded(person) in map(folded, self.approvers)

    def to_json(self) -> dict[str, Any]:
        return {"require": list(self.require), "approvals": self.approvals, "approvers": list(self.approvers)}


@dataclass(frozen=True)
class ModelSpec:
    """A model by name, and by version or stage where one is meant that exists."""

    name: str
    version: int | str | ModelStage | None = None
    description: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    promotion: Mapping[str, PromotionPolicy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_template("model", self.name)
        object.__setattr__(self, "tags", tuple(self.tags))
        if not (self.version is None or self.version in STAGES or _is_number(self.version)):
            raise DefinitionError(f"Model version {self.version!r} is neither a number nor a stage; stages are {', '.join(STAGES)}.")
        policies = {checked_stage(stage): _policy(policy) for stage, policy in self.promotion.items()}
        object.__setattr__(self, "promotion", policies)

    def to_json(self) -> dict[str, Any]:
        fields = {"name": self.name, "version": self.wanted, "description": self.description, "license": self.license}
        policies = {stage: policy.to_json() for stage, policy in self.promotion.items()}
        return {**fields, "tags": list(self.tags), "metadata": dict(self.metadata), **({"promotion": policies} if policies else {})}

    @property
    def wanted(self) -> int | str | None:
        """The version as plain JSON."""
        return self.version.value if isinstance(self.version, ModelStage) else self.version


def _is_number(version: object) -> bool:
    return version.isdecimal() if isinstance(version, str) else type(version) is int and version > 0


def _policy(said: PromotionPolicy | Mapping[str, Any]) -> PromotionPolicy:
    """Also as a file of configuration says it."""
    return said if isinstance(said, PromotionPolicy) else PromotionPolicy(**said)


def pin(name: str, version: int | str | None) -> str:
    """What a plan calls the version that a model's name and version or stage resolved to."""
    return f"{name}@{version or 'newest'}"


class ModelArtifact:
    """An artifact of a model version, by the output's name, to be found when the pipeline is planned. `version`: a number, a stage, or None for the newest.

    No dataclass, since those are parameters, and this is what a parameter cannot hold.
    """

    __slots__ = ("artifact", "model", "version")

    def __init__(self, model: str, version: int | str | None, artifact: str) -> None:
        self.model = model
        self.version = version
        self.artifact = artifact

    def to_json(self) -> dict[str, Any]:
        return {"model": self.model, "version": self.version, "artifact": self.artifact}

    def __repr__(self) -> str:
        return f"<artifact '{self.artifact}' of model '{self.model}' in {self.version or 'its newest version'}>"

    def _problem(self, what: str) -> str:
        which = repr(self)[1:-1]
        return f"The {which} {what} while the pipeline is traced: give it to a step, as an argument of its own, which gets its value."

    def _refuse(self, *_: object) -> NoReturn:
        raise DefinitionError(self._problem("has no value"))

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(self._problem(f"has no attribute '{name}'"))

    def __bool__(self) -> NoReturn:  # noqa: PLE0304  # it always raises
        self._refuse()

    def __str__(self) -> NoReturn:  # noqa: PLE0307  # it always raises
        self._refuse()

    __format__ = __len__ = __iter__ = __contains__ = __getitem__ = __call__ = _refuse
