"""MLflow's autologging, which is set per process: what a step sets ends with it, and what is set outside of steps holds on.

MLflow has calls to turn it on and none to say how it was, so this reads MLflow's own tables: what is set, by integration, and
what waits for a library to be imported. What is on has patched a library by functions that know how they were asked for.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TABLE = "AUTOLOGGING_INTEGRATIONS"
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Autologging:
    """How it was when a step began."""

    table: Mapping[str, Config]
    hooks: frozenset[Any]

    @classmethod
    def taken(cls) -> Autologging:
        """What is on stays on. What was turned off becomes as if it never was, else `mlflow.autolog()` in the step would spare it."""
        now = table()
        state = cls({name: dict(config) for name, config in now.items()}, frozenset(hook for hooks in _waiting().values() for hook in hooks))
        now.update({name: {} for name, config in state.table.items() if not is_on(config)})
        return state

    def put_back(self) -> None:
        now = table()
        for name, config in list(now.items()):
            before = self.table.get(name, {})
            if config != before:
                patch_anew(name, before)
                now[name] = dict(before)
        forget(lambda hook: hook not in self.hooks)


def is_on(config: Config) -> bool:
    return bool(config) and not config.get("disable")


def patch_anew(integration: str, config: Config) -> None:
    """Where it is on: patches do what they were told when they were made, and a step has made others."""
    if integration == "mlflow" or not is_on(config):  # the former patches nothing itself
        return
    autolog: Any = importlib.import_module(f"mlflow.{integration}").autolog
    known = inspect.signature(autolog).parameters
    autolog(**{name: value for name, value in config.items() if name in known})


def forget(unwanted: Callable[[Any], bool]) -> None:
    """Of what waits for libraries. An empty list there means that the library has been imported, so none is left behind."""
    waiting = _waiting()
    for library, hooks in [(library, hooks) for library, hooks in waiting.items() if hooks]:
        kept = [hook for hook in hooks if not unwanted(hook)]
        if kept:
            waiting[library] = kept
        else:
            del waiting[library]


def table() -> dict[str, Any]:
    return getattr(importlib.import_module("mlflow.utils.autologging_utils"), TABLE)  # type: ignore[no-any-return]


def _waiting() -> dict[str, list[Any]]:
    return importlib.import_module("mlflow.utils.import_hooks")._post_import_hooks  # type: ignore[no-any-return]
