"""What a step's signature says: its parameters, and its outputs' names and types."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from dovetail.errors import DefinitionError
from dovetail.values.artifacts import ArtifactConfig
from dovetail.values.encoding import type_name
from dovetail.values.graph import OutputSpec
from dovetail.values.names import check_name, check_template

EMPTY = object()
_UNIONS = (Union, getattr(types, "UnionType", Union))
_REFUSED_OUTPUTS = ("Generator", "Iterator", "Coroutine", "AsyncGenerator", "AsyncIterator", "Awaitable", "IO", "TextIO", "BinaryIO")


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    annotation: Any
    default: Any
    kind: str  # "positional", "keyword", "args" or "kwargs"


@dataclass(frozen=True, slots=True)
class Signature:
    """`outputs` is None where the function has no return annotation; `output_types` are the annotations themselves."""

    parameters: Mapping[str, Parameter]
    outputs: tuple[OutputSpec, ...] | None
    output_types: tuple[Any, ...]


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Raises DefinitionError for annotations that cannot be, naming the step."""
    import inspect

    kinds = {
        inspect.Parameter.POSITIONAL_ONLY: "positional",
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
        inspect.Parameter.KEYWORD_ONLY: "keyword",
        inspect.Parameter.VAR_POSITIONAL: "args",
        inspect.Parameter.VAR_KEYWORD: "kwargs",
    }
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionError(
            f"Step '{name}' is a coroutine or generator function, whose result cannot be stored. "
            "Make it a plain function; run coroutines inside with asyncio.run(), and return list(…) instead of yielding."
        )
    hints = _hints(function)
    parameters = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise DefinitionError(f"Step '{name}' takes '{parameter.name}' by position only; inputs are kept by name, so remove the '/'.")
        default = EMPTY if parameter.default is inspect.Parameter.empty else parameter.default
        annotation = hints.get(parameter.name, Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation)
        parameters[parameter.name] = Parameter(parameter.name, annotation, default, kinds[parameter.kind])
    if "return" not in hints:
        return Signature(parameters, None, (Any,))
    outputs, output_types = _outputs(hints["return"], name)
    return Signature(parameters, outputs, output_types)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Evaluated annotations; one that cannot be evaluated (a name under TYPE_CHECKING) stays a string and hinders no other."""
    annotations = getattr(function, "__annotations__", {})
    if not any(isinstance(annotation, str) for annotation in annotations.values()):
        return {name: type(None) if hint is None else hint for name, hint in annotations.items()}
    scope = dict(getattr(function, "__globals__", {}))
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    for free, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            scope[free] = cell.cell_contents
        except ValueError:
            continue  # a name that the enclosing function has not bound yet
    hints: dict[str, Any] = {}
    for name, annotation in annotations.items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints[name] = typing.get_type_hints(holder, globalns=scope, include_extras=True)[name]
        except Exception:  # whatever evaluating somebody's annotation raises
            hints[name] = annotation
    return hints


def _outputs(annotation: Any, step: str) -> tuple[tuple[OutputSpec, ...], tuple[Any, ...]]:
    if annotation is None or annotation is type(None):
        return (), ()
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    several = origin is tuple and parts and Ellipsis not in parts
    members = parts if several else (annotation,)
    specs: list[OutputSpec] = []
    plain: list[Any] = []
    for number, member in enumerate(members):
        spec, inner = _output(member, f"output_{number}" if several else "output", step)
        if spec.name in [other.name for other in specs]:
            raise DefinitionError(f"Step '{step}' gives two outputs named '{spec.name}'; give each its own name in Annotated[…].")
        specs.append(spec)
        plain.append(inner)
    return tuple(specs), tuple(plain)


def _output(annotation: Any, default_name: str, step: str) -> tuple[OutputSpec, Any]:
    name, config = default_name, ArtifactConfig()
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *extras = typing.get_args(annotation)
        named = next((extra for extra in extras if isinstance(extra, str)), None)
        config = next((extra for extra in extras if isinstance(extra, ArtifactConfig)), config)
        artifact = named or config.name
        if artifact is not None:
            check_template("artifact", artifact)
            name = artifact if "{" not in artifact else default_name
            config = ArtifactConfig(artifact, config.artifact_type, config.tags, config.metadata)
    _refuse_unstorable(annotation, step)
    kind = config.artifact_type.value if config.artifact_type else None
    return OutputSpec(check_name("output", name), describe(annotation), config.name, None, kind, config.tags, config.metadata), annotation


def _refuse_unstorable(annotation: Any, step: str) -> None:
    origin = typing.get_origin(annotation) or annotation
    if getattr(origin, "__name__", None) in _REFUSED_OUTPUTS and getattr(origin, "__module__", "") in ("collections.abc", "typing", "types"):
        raise DefinitionError(
            f"Step '{step}' is annotated to return {describe(annotation)}, which cannot be stored. "
            "Return the values themselves: list(…) of an iterator, the content or path of a file."
        )


def describe(annotation: Any) -> str:
    """An annotation as text that is the same in every process."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__qualname__ if annotation.__module__ == "builtins" else type_name(annotation)
    return str(annotation).replace("typing.", "").replace("__main__.", "")


def compatible(given: Any, wanted: Any) -> bool:
    """Whether a value annotated `given` can be one annotated `wanted`; True wherever that cannot be told."""
    given, wanted = _bare(given), _bare(wanted)
    if typing.get_origin(wanted) in _UNIONS:
        return any(compatible(given, member) for member in typing.get_args(wanted))
    if typing.get_origin(given) in _UNIONS:
        return any(compatible(member, wanted) for member in typing.get_args(given))
    left, right = typing.get_origin(given) or given, typing.get_origin(wanted) or wanted
    if not isinstance(left, type) or not isinstance(right, type) or {left, right} & {object, Any}:
        return True
    if (left, right) in ((int, float), (int, complex), (float, complex)):
        return True
    try:
        return issubclass(left, right) or issubclass(right, left)
    except TypeError:
        return True  # a protocol that cannot be checked


def _bare(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, typing.TypeVar):
        return annotation.__bound__ or Any
    return type(None) if annotation is None else annotation
