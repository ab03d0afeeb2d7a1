"""A step as it was declared: its function and its options. Declaring one runs nothing and reads no file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import DefinitionError
from dovetail.graph.annotations import Signature, read_signature
from dovetail.values.encoding import encode, module_name, type_name
from dovetail.values.model import ModelSpec
from dovetail.values.names import check_name
from dovetail.values.settings import Environment, Resources, Retry, plain

HOOKS = ("on_start", "on_success", "on_failure", "on_end")


@dataclass(frozen=True)
class Options:
    """Everything that can be said of a step or pipeline besides its function. None means: not said here."""

    enable_cache: bool | None = None
    cache_key: Any = None
    output_materializers: Any = None
    experiment_tracker: bool | str | None = None
    model_deployer: bool | str | None = None
    step_operator: bool | str | None = None
    data_validator: bool | str | None = None
    retry: Retry | None = None
    timeout: float | None = None
    resources: Resources | None = None
    environment: Environment | None = None
    settings: Mapping[str, Mapping[str, Any]] | None = None
    model: ModelSpec | None = None
    tags: tuple[str, ...] | None = None
    on_start: Callable[..., Any] | None = None
    on_success: Callable[..., Any] | None = None
    on_failure: Callable[..., Any] | None = None
    on_end: Callable[..., Any] | None = None
    substitutions: Mapping[str, str] | None = None
    isolated: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tags, str):
            raise DefinitionError(f"tags={self.tags!r} is one text; give a list: tags=[{self.tags!r}].")
        if self.tags is not None:
            object.__setattr__(self, "tags", tuple(self.tags))
        if isinstance(self.retry, int):
            object.__setattr__(self, "retry", Retry(max_retries=self.retry))
        if self.timeout is not None and not (isinstance(self.timeout, (int, float)) and self.timeout > 0):
            raise DefinitionError(f"timeout={self.timeout!r} cannot be: give seconds, more than 0.")
        kinds = {"retry": Retry, "resources": Resources, "environment": Environment, "model": ModelSpec}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise DefinitionError(f"{name}= takes a {name.capitalize()}(…), not {type(value).__name__}.")

    def merged(self, other: Options) -> Options:
        """These options, with what `other` says in place of what they say."""
        said = {name: getattr(other, name) for name in _FIELDS if getattr(other, name) is not None}
        return dataclasses.replace(self, **said) if said else self

    def to_json(self) -> dict[str, Any]:
        """What a plan keeps. Functions are kept by name."""
        record: dict[str, Any] = {}
        for name in _FIELDS:
            value = getattr(self, name)
            if value is not None and name != "output_materializers":
                record[name] = _option(name, value)
        return record


_FIELDS = tuple(option.name for option in dataclasses.fields(Options))


def _option(name: str, value: Any) -> Any:
    if name in HOOKS or (name == "cache_key" and callable(value)):
        return {"function": source_of(value)}
    if name == "cache_key":
        return {"value": encode(value)}
    if isinstance(value, ModelSpec):
        return value.to_json()
    if isinstance(value, (Retry, Resources, Environment)):
        return plain(value)
    return list(value) if isinstance(value, tuple) else encode(value) if name == "settings" else value


@dataclass(frozen=True)
class StepDefinition:
    """`name`: what its invocations are called. `signature` is read when it is first needed."""

    function: Callable[..., Any]
    name: str
    options: Options = field(default_factory=Options)

    @property
    def signature(self) -> Signature:
        found: Signature = _remembered(self.function, "_dovetail_signature", lambda: read_signature(self.function, self.name))
        return found

    @property
    def source(self) -> str:
        found: str = _remembered(self.function, "_dovetail_source", lambda: source_of(self.function))
        return found


def define_step(function: Callable[..., Any], name: str | None, options: Options) -> StepDefinition:
    if not callable(function) or isinstance(function, type):
        raise DefinitionError(f"@step decorates a function, not {type(function).__name__} {function!r:.60}.")
    return StepDefinition(function, check_name("step", name or function.__name__), options)


def source_of(function: Any) -> str:
    """`module:qualname`; a script is named by its file. What stands inside a function keeps `<locals>` in it."""
    function = getattr(function, "__wrapped__", function)
    if isinstance(function, type):
        return type_name(function)
    return f"{module_name(getattr(function, '__module__', None) or '__main__')}:{getattr(function, '__qualname__', repr(type(function)))}"


def importable(source: str) -> bool:
    """Whether another process can find what a source names."""
    return "<" not in source


def _remembered(function: Any, attribute: str, compute: Callable[[], Any]) -> Any:
    found = function.__dict__.get(attribute) if hasattr(function, "__dict__") else None
    if found is None:
        found = compute()
        if hasattr(function, "__dict__"):
            setattr(function, attribute, found)
    return found
