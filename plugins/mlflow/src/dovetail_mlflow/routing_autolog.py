"""Autologging that a step turns on ends with it, as far as MLflow's configuration goes; what was turned on outside of steps stays."""

from __future__ import annotations

from typing import Any

from dovetail_mlflow.routing_step import RoutedStep, context_of_caller, routed

_outside: dict[str, dict[str, Any]] = {}
_inside: dict[int, set[str]] = {}


def watch() -> None:
    """MLflow tells one listener of each call of `autolog`; the one that there is goes on being told."""
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
    from mlflow.utils.autologging_utils.events import AutologgingEventLogger

    listeners: Any = AutologgingEventLogger  # its methods are untyped
    before = listeners.get_logger()
    _outside.update({name: dict(config) for name, config in AUTOLOGGING_INTEGRATIONS.items()})

    class Listener(AutologgingEventLogger):
        def log_autolog_called(self, integration: str, call_args: Any, call_kwargs: Any) -> None:
            _called(integration, dict(call_kwargs))
            before.log_autolog_called(integration, call_args, call_kwargs)

        def __getattribute__(self, name: str) -> Any:
            own = name == "log_autolog_called" or name.startswith("__")
            return object.__getattribute__(self, name) if own else getattr(before, name)

    listeners.set_logger(Listener())


def _called(integration: str, config: dict[str, Any]) -> None:
    step = routed()
    if step is not None:
        _inside.setdefault(id(step), set()).add(integration)
    elif context_of_caller() is None:  # else MLflow's own tracker sees to it
        _outside[integration] = config


def put_back(step: RoutedStep) -> None:
    touched = _inside.pop(id(step), set())
    if not touched:
        return
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS

    for integration in touched:
        AUTOLOGGING_INTEGRATIONS[integration] = dict(_outside.get(integration, {}))  # an empty one is off
