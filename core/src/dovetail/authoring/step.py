"""The `@step` decorator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from dovetail.errors import DefinitionError, near
from dovetail.graph.definition import Options, StepDefinition, define_step
from dovetail.graph.tracing import current
from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.model import ModelSpec
from dovetail.values.settings import Environment, Resources, Retry

P = ParamSpec("P")
R = TypeVar("R")
Materializer = type[BaseMaterializer]


class Step(Generic[P, R]):
    """A step. Called inside a pipeline it gives references to its outputs; called anywhere else it is the plain function."""

    def __init__(self, definition: StepDefinition, after: Sequence[Any] = (), id: str | None = None) -> None:
        self.definition = definition
        self._after = after
        self._id = id
        functools.update_wrapper(self, definition.function, updated=())

    def __repr__(self) -> str:
        return f"<step {self.definition.name}>"

    @property
    def name(self) -> str:
        return self.definition.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        tracer = current.get()
        if tracer is None:
            return cast(R, self.definition.function(*args, **kwargs))
        after, id_ = self._placing(kwargs)
        return cast(R, tracer.add(self.definition, args, kwargs, after=after, id=id_))

    def map(self, items: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the step once for each item of a list, or of an output that is one; the next step takes the results as a list.

        `items` goes to the first parameter; all else is the same for every child. Raises DefinitionError outside a pipeline.
        """
        tracer = current.get()
        if tracer is None:
            raise DefinitionError(f"{self.name}.map(…) has a meaning only inside a pipeline; elsewhere use [{self.name}(x) for x in items].")
        after, id_ = self._placing(kwargs)
        return tracer.add(self.definition, (items, *args), kwargs, mapped=True, after=after, id=id_)

    def _placing(self, kwargs: dict[str, Any]) -> tuple[Sequence[Any], str | None]:
        """`after` and `id` as given at the call, unless they are parameters of the function."""
        parameters = self.definition.signature.parameters
        after = kwargs.pop("after", ()) if "after" in kwargs and "after" not in parameters else ()
        id_ = kwargs.pop("id", None) if "id" in kwargs and "id" not in parameters else None
        listed = list(after) if isinstance(after, (list, tuple)) else [after]
        return [*self._after, *listed], id_ or self._id

    def with_options(self, *, name: str | None = None, after: Any = None, id: str | None = None, **options: Any) -> Step[P, R]:
        """A copy with other options: all of `@step`'s, `after` (outputs or names of steps to wait for) and `id` (its invocation's name)."""
        changed = define_step(
            self.definition.function, name or self.definition.name, self.definition.options.merged(make_options(options, f"{self.name}.with_options"))
        )
        listed = list(after) if isinstance(after, (list, tuple)) else [after] if after is not None else list(self._after)
        return Step(changed, listed, id or self._id)


def make_options(given: dict[str, Any], where: str) -> Options:
    """Options from keywords; DefinitionError with near names for one that does not exist."""
    unknown = set(given) - set(Options.__dataclass_fields__)
    if unknown:
        raise DefinitionError(f"{where} has no option '{min(unknown)}'. {near(min(unknown), Options.__dataclass_fields__)}")
    return Options(**given)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    enable_cache: bool | None = None,
    cache_key: Callable[..., Any] | Any = None,
    output_materializers: Materializer | dict[str, Materializer] | None = None,
    experiment_tracker: bool | str | None = None,
    model_deployer: bool | str | None = None,
    step_operator: bool | str | None = None,
    data_validator: bool | str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    resources: Resources | None = None,
    environment: Environment | None = None,
    settings: dict[str, dict[str, Any]] | None = None,
    model: ModelSpec | None = None,
    tags: Sequence[str] | None = None,
    on_start: Callable[..., Any] | None = None,
    on_success: Callable[..., Any] | None = None,
    on_failure: Callable[..., Any] | None = None,
    on_end: Callable[..., Any] | None = None,
    substitutions: dict[str, str] | None = None,
    isolated: bool | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Make a function a step, bare or with options. Nothing runs, and nothing is read, when it is decorated.

    `name`: in place of the function's. `enable_cache`: False runs it every time. `cache_key`: what the key counts besides
    code and inputs: a JSON value, or a callable that takes some of the step's parameters by name. `output_materializers`: a
    materializer for all outputs, or one by output. `experiment_tracker`, `model_deployer`, `step_operator`,
    `data_validator`: True for the active stack's, or the name of the very component that must be there. `timeout`: seconds for one attempt; the step then
    runs in a process of its own, as it does with `isolated`. `settings`: by flavor or component type. `on_start()`,
    `on_success()`, `on_failure(error)`, `on_end()`: called in the step's process.
    Raises DefinitionError for what cannot be a step or an option.
    """
    chosen = make_options(options, "@step")
    if function is not None:
        return Step(define_step(function, name, chosen))
    return lambda decorated: Step(define_step(decorated, name, chosen))

