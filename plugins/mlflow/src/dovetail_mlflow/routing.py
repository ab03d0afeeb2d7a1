"""Plain MLflow calls on stacks that track with something else: they go to the step, and with it to whatever tracks it.

MLflow loads this module by its entry points while it is itself being imported. From then on its addresses are `dovetail://step`
for code that belongs to a step of a stack whose tracker is not MLflow, whatever `MLFLOW_TRACKING_URI` and
`mlflow.set_tracking_uri` say, and what they always were for all other code. Steps that do not import MLflow pay nothing.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, Any

from dovetail_mlflow.routing_step import RoutedStep, cure, everywhere, routed

if TYPE_CHECKING:
    from collections.abc import Callable

URI = "dovetail://step"
_ADDRESSES = "mlflow.tracking._tracking_service.utils"
_OF_MODELS = "mlflow.tracking._model_registry.utils"
_FLUENT = "mlflow.tracking.fluent"
_OF_THE_CALLER = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
_OF_THE_PROCESS = ("set_experiment", "set_active_model")  # plain calls that would hold for whatever comes after the step


def tracking_store(store_uri: str | None = None, artifact_uri: str | None = None) -> Any:
    """MLflow's entry point `mlflow.tracking_store`."""
    from dovetail_mlflow.routing_store import RoutedStore

    return RoutedStore()


def model_registry_store(store_uri: str | None = None, tracking_uri: str | None = None) -> Any:
    """MLflow's entry point `mlflow.model_registry_store`; without it there is no MLflow client for this address."""
    from dovetail_mlflow.routing_store import no_registry

    return no_registry()


def artifact_repository(artifact_uri: str, *_: Any, **__: Any) -> Any:
    """MLflow's entry point `mlflow.artifact_repository`."""
    from dovetail_mlflow.routing_artifacts import RoutedArtifacts

    return RoutedArtifacts(artifact_uri)


class StepRunContext:
    """MLflow's entry point `mlflow.run_context_provider`: what a routed run says of itself, for who reads it in the step."""

    def in_context(self) -> bool:
        return routed() is not None

    def tags(self) -> dict[str, str]:
        step = routed()
        if step is None:
            return {}
        context = step.context
        said = {"run": context.run_name, "pipeline": context.pipeline_name, "step": context.step_name, "attempt": str(context.attempt)}
        return {f"dovetail.{name}": value for name, value in said.items()}


def __getattr__(name: str) -> Any:
    """`dovetail` of `mlflow.tracking_store` is looked up under this name, each time that MLflow is imported."""
    if name != "installed_tracking_store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    install()
    return tracking_store


def install() -> None:
    """Let MLflow answer by step. MLflow's own module of addresses exists by now and nobody has taken functions from it yet."""
    addresses = sys.modules.get(_ADDRESSES)
    if addresses is None or hasattr(addresses.get_tracking_uri, "__dovetail__"):
        return
    addresses.get_tracking_uri = _by_step(addresses.get_tracking_uri, lambda step: URI)  # type: ignore[attr-defined]
    addresses.set_tracking_uri = _by_step(addresses.set_tracking_uri, _refused("set_tracking_uri"))  # type: ignore[attr-defined]
    sys.meta_path.insert(0, _OnceImported(_FLUENT, _complete))


def _complete(fluent: Any) -> None:
    """What MLflow's module of plain calls goes by, besides its address."""
    from dovetail_mlflow import routing_autolog, routing_runs

    routing_runs.by_step(fluent)
    routing_autolog.by_step(fluent)
    models: Any = sys.modules[_OF_MODELS]
    everywhere("get_registry_uri", models.get_registry_uri, _by_step(models.get_registry_uri, lambda step: URI))
    everywhere("set_registry_uri", models.set_registry_uri, _by_step(models.set_registry_uri, _refused("set_registry_uri")))
    for name in [name for name in _OF_THE_PROCESS if hasattr(fluent, name)]:
        setattr(fluent, name, _by_step(getattr(fluent, name), _refused(name)))
    variables: Any = sys.modules["mlflow.environment_variables"]
    for name in _OF_THE_CALLER:
        variable = getattr(variables, name, None)
        if variable is not None:
            variable.get = _by_step(variable.get, lambda step: None)
            variable.unset = _by_step(variable.unset, lambda step: None)


def _by_step(own: Callable[..., Any], in_step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def answer(*args: Any, **named: Any) -> Any:
        step = routed()
        return own(*args, **named) if step is None else in_step(step, *args, **named)

    answer.__dovetail__ = True  # type: ignore[attr-defined]
    return answer


def _refused(name: str) -> Callable[..., Any]:
    def refuse(step: RoutedStep, *_: Any, **__: Any) -> None:
        raise cure(step, name)

    return refuse


class _OnceImported(MetaPathFinder):
    """Calls a function with a module that is not imported yet, before anybody else has it."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(fullname)
        own = spec.loader.exec_module

        def execute(module: Any) -> None:
            own(module)
            self._then(module)

        spec.loader.exec_module = execute
        return spec
