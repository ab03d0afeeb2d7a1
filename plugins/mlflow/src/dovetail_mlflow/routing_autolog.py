"""Autologging of a routed step holds for that step alone, though others may run in the same process at the same time.

Whether it is on, each step is told for itself. What it watches with, MLflow has once in a process: so steps that autolog take
turns, from the first time that MLflow's autologging has to do with them to their end.
"""

from __future__ import annotations

import logging
import sys
import threading
from functools import partial
from typing import Any

from dovetail_mlflow import autologging
from dovetail_mlflow.routing_step import RoutedStep, everywhere, routed

_log = logging.getLogger("dovetail")
_turns = threading.Condition()
_turn: list[RoutedStep] = []  # whose it is; empty when it is nobody's


def _take_turn(step: RoutedStep) -> None:
    with _turns:
        if _turn and _turn[0] is not step:
            other = _turn[0].context.step_name
            _log.info("Step '%s' waits for step '%s', as MLflow autologs one step of a process at a time.", step.context.step_name, other)
            _turns.wait_for(lambda: not _turn)
        if not _turn:
            _turn.append(step)
            step.ending.append(partial(_end_turn, step))


def _end_turn(step: RoutedStep) -> None:
    set_here = dict(step.autologging)
    step.autologging.clear()
    try:
        for name, config in set_here.items():
            outside = autologging.table()[name]
            if config != outside:
                autologging.patch_anew(name, outside)
        autologging.forget(lambda hook: getattr(hook, "of_step", None) is step)
    finally:
        with _turns:
            _turn.clear()
            _turns.notify_all()


class _InTurn:
    """MLflow's lock around all that turns autologging on and off."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __enter__(self) -> Any:
        step = routed()
        if step is not None:
            _take_turn(step)  # before the lock is held, which others need to end theirs
        return self._own.__enter__()

    def __exit__(self, *raised: object) -> Any:
        return self._own.__exit__(*raised)


class _ByStep(dict[str, Any]):
    """MLflow's table of what is set: in a routed step, what the step has set there, and else what is set outside."""

    def __contains__(self, name: object) -> bool:
        step = routed()
        return super().__contains__(name) or (step is not None and name in step.autologging)

    def __getitem__(self, name: str) -> Any:
        step = routed()
        if step is None:
            return super().__getitem__(name)
        if name in step.autologging:
            return step.autologging[name]
        outside = super().__getitem__(name)
        if not autologging.is_on(outside):
            return {}
        _take_turn(step)
        return outside

    def __setitem__(self, name: str, config: Any) -> None:
        step = routed()
        if step is None:
            super().__setitem__(name, config)
        else:
            super().setdefault(name, {})
            if config:
                _take_turn(step)
            step.autologging[name] = config

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def pop(self, name: str, *default: Any) -> Any:
        step = routed()
        if step is None:
            return super().pop(name, *default)
        found = self.get(name, *default)
        step.autologging[name] = {}
        return found

    def copy(self) -> dict[str, Any]:
        return {name: self[name] for name in list(self)}

    def items(self) -> Any:
        return self.copy().items()


def by_step(fluent: Any) -> None:
    own = autologging.table()
    everywhere(autologging.TABLE, own, _ByStep(own))
    shared: Any = sys.modules["mlflow.utils.autologging_utils"]
    lock = getattr(shared, "_autolog_conf_global_lock", None)  # from 2.15 on
    if lock is not None:
        shared._autolog_conf_global_lock = _InTurn(lock)
    fluent.register_post_import_hook = _of_its_step(fluent.register_post_import_hook)


def _of_its_step(register: Any) -> Any:
    """What `mlflow.autolog()` has wait for libraries that are not imported yet is not to happen to another step that imports them."""

    def registered(hook: Any, library: str, overwrite: bool = True) -> None:
        step = routed()
        if step is None:
            register(hook, library, overwrite=overwrite)
            return

        def in_step(module: Any) -> None:
            if routed() is step:
                hook(module)

        in_step.__name__ = f"{hook.__name__} of {step.context.run_id} {step.context.step_name}"  # MLflow takes equal names for one hook
        in_step.of_step = step  # type: ignore[attr-defined]
        register(in_step, library, overwrite=overwrite)

    return registered
