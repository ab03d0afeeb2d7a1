"""What all components share: fields that are the configuration, and stated capabilities."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dovetail.errors import DefinitionError
from dovetail.values.encoding import Json

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform  # in typing from Python 3.11 on
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda cls: cls


class Capability(str, enum.Enum):
    """What a component states it can do; a plan that needs more is refused before the run."""

    PARALLEL = "parallel"
    REMOTE = "remote"
    SCHEDULES = "schedules"
    GPUS = "gpus"
    GPU_TYPES = "gpu types"
    DISK = "disk"
    RESOURCES = "resources"
    RETRIES = "retries"
    TIMEOUTS = "timeouts"
    ENVIRONMENT_VARIABLES = "environment variables"
    ENVIRONMENTS = "environments"
    MAP = "map"
    CONDITIONS = "conditions"


class Secret(str):
    """Text that is never shown: `str()` and `repr()` give asterisks, `reveal()` gives the value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"

    def __str__(self) -> str:
        return "********"

    def __format__(self, spec: str) -> str:
        return "********"

    def reveal(self) -> str:
        return str.__str__(self)


@dataclass_transform(kw_only_default=True)
class Component(ABC):  # noqa: B024  # each interface has its own abstract methods
    """Subclass it and annotate fields: types, defaults and help texts are the configuration, as keyword arguments.

    A field's help is given as `field(default=…, metadata={"help": "…"})`; secrets are fields of type Secret. Fields
    cannot be changed once set; attributes that begin with `_` are free for state. Vendor libraries are imported inside methods.
    `process_wide_state`: it changes something that all steps of a process share, so steps that run at once each get a process.
    `credential_variables`: environment variables from which its client takes credentials, besides its fields.
    `confined`: it works only in the process, or only on the machine, of who runs the pipeline.
    """

    component_type: ClassVar[str] = ""
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    process_wide_state: ClassVar[bool] = False
    credential_variables: ClassVar[tuple[str, ...]] = ()
    confined: ClassVar[Literal["process", "machine"] | None] = None
    name: ClassVar[str] = ""
    flavor: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(kw_only=True)(cls)
        _refuse_fields_named_as_methods(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name in _field_names(type(self)):
            raise AttributeError(f"{type(self).__name__}.{name} is configuration and cannot be changed; make a component with another value.")
        object.__setattr__(self, name, value)

    def called(self, name: str, flavor: str) -> Component:
        """This component under the name and flavor that its stack gives it."""
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "flavor", flavor)
        return self

    def configuration(self) -> dict[str, Any]:
        """The fields as given, secrets still hidden behind Secret."""
        return {name: getattr(self, name) for name in _field_names(type(self))}

    def check(self) -> list[str]:
        """What is wrong with it as configured: reachable, credentials valid; one sentence each, with the cure."""
        return []

    def local_folders(self) -> Sequence[Path]:
        """Where on this machine it keeps what other processes must find too; empty for what is reached by a network."""
        return ()

    def prepare(self, run: Mapping[str, Json]) -> Json:
        """Called once per run, before its steps, in the submitting process; what it returns every step run receives."""
        return None


def _refuse_fields_named_as_methods(cls: type[Any]) -> None:
    """Such a field would have the method as its default, and take the method's place where it is called."""
    for name in (field.name for field in dataclasses.fields(cls)):
        for base in cls.__mro__[1:]:
            if inspect.isfunction(vars(base).get(name)):
                raise DefinitionError(
                    f"The field '{name}' of {cls.__name__} has the name of a method of {base.__name__}. Call it otherwise, such as '{name}_'."
                )


def _field_names(cls: type) -> tuple[str, ...]:
    names: tuple[str, ...] | None = cls.__dict__.get("__configuration_fields__")
    if names is None:
        names = tuple(field.name for field in dataclasses.fields(cls))
        cls.__configuration_fields__ = names  # type: ignore[attr-defined]  # its own attributes are free to begin with one '_'
    return names
