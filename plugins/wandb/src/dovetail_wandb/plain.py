"""`wandb.log(…)` and its siblings, said in a step without `wandb.init`, reach the step's own W&B run.

W&B keeps one run per process in its module's names. While steps run side by side there are several, so these names answer
by the step that asks; outside of steps, and on stacks with another tracker, they are W&B's own.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from dovetail_wandb.session import GLOBALS, disabled_run, opening

_OF_ITS_OWN = ("id", "fork_from", "resume_from")  # arguments of `wandb.init` that ask for another run than the step's
_log = logging.getLogger("dovetail")


def install() -> None:
    """Let the module `wandb` answer by step, now or once it is imported; once is enough."""
    module = sys.modules.get("wandb")
    if module is not None:
        if type(module) is ModuleType:
            module.__class__ = _ByStep
    elif not any(isinstance(finder, _AtImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AtImport())


class _AtImport(importlib.abc.MetaPathFinder):
    """Finds nothing itself, and changes the module that the others find."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name != "wandb":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._real.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        install()


class _Name:
    """One of the module's names."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, module: ModuleType | None, owner: type) -> Any:
        if module is None:
            return self
        run = run_of_step()
        if run is not None:
            return _init(module, run) if self._name == "init" else _attribute(run, self._name)
        try:
            return vars(module)[self._name]
        except KeyError:
            raise AttributeError(f"module 'wandb' has no attribute {self._name!r}") from None

    def __set__(self, module: ModuleType, value: Any) -> None:
        vars(module)[self._name] = value

    def __delete__(self, module: ModuleType) -> None:
        del vars(module)[self._name]


class _ByStep(ModuleType):
    """The module `wandb`."""


for _name in (*GLOBALS, "init"):
    setattr(_ByStep, _name, _Name(_name))


def _attribute(run: Any, name: str) -> Any:
    return run if name == "run" else getattr(run, name)


def run_of_step() -> Any:
    """The W&B run of the step that the calling code belongs to; None outside of steps, and where the stack has another tracker.

    One that does nothing stands for a run that could not be opened: a tracker that cannot be reached fails no step.
    """
    from dovetail import get_step_context

    if opening.get():  # W&B asks its own names while a run is being opened
        return None
    try:
        context = get_step_context()
    except RuntimeError:
        return None
    if context.stack.flavors.get("experiment_tracker") != "wandb":
        return None
    tracker: Any = context.tracker
    return tracker.run if tracker is not None else disabled_run()


def _init(module: ModuleType, run: Any) -> Any:
    """`wandb.init` in a step gives the step's run; what the stack decides is not changed by it, and that is said."""

    def init(*args: Any, **asked: Any) -> Any:
        given = {name: value for name, value in asked.items() if value is not None}
        if args or given.get("reinit") == "create_new" or any(name in given for name in _OF_ITS_OWN):
            return vars(module)["init"](*args, **asked)
        if config := given.pop("config", None):
            run.config.update(config, allow_val_change=True)
        if tags := given.pop("tags", None):
            run.tags = tuple(dict.fromkeys((*(run.tags or ()), *tags)))
        for name in ("name", "notes"):
            if name in given:
                setattr(run, name, given.pop(name))
        if given:
            names = ", ".join(sorted(given))
            _log.warning("wandb.init(%s) in a step: the stack's tracker decides these. Set them there, or leave them out.", names)
        return run

    return init
