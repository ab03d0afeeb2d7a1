"""Users' hooks: what one raises is told and harms nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from dovetail.execution.importing import find_named
from dovetail.planning.workspace import Workspace
from dovetail.values.plan import Plan, Status

Hook = Callable[..., Any]


@dataclass(frozen=True)
class EndedRun:
    """The run whose hooks are called; `record` is its last one."""

    workspace: Workspace
    record: Mapping[str, Any]


_ended: ContextVar[EndedRun | None] = ContextVar("dovetail_ended_run", default=None)


def ended_run() -> EndedRun | None:
    """The run whose hook the calling code is; None elsewhere."""
    return _ended.get()


def call_hook(hook: Hook | None, *args: Any) -> None:
    """Call a hook, with the error only if it takes one."""
    if hook is None:
        return
    code: Any = getattr(hook, "__code__", None)
    takes = code.co_argcount - hasattr(hook, "__self__") if code is not None else len(args)
    try:
        hook(*args[:takes])
    except Exception as error:  # a broken hook never loses a result
        warnings.warn(f"The hook {getattr(hook, '__name__', hook)!r} raised {type(error).__name__}: {error}", stacklevel=2)


def call_run_hook(on_success: Hook | None, on_failure: Hook | None, ended: EndedRun, error: BaseException | None) -> None:
    """Tell a pipeline's hooks how its run ended."""
    token = _ended.set(ended)
    try:
        if Status(ended.record["status"]).is_success:
            call_hook(on_success)
        else:
            call_hook(on_failure, error)
    finally:
        _ended.reset(token)


def call_recorded_run_hook(plan: Plan, ended: EndedRun, error: BaseException | None) -> None:
    """The same, in a process that knows the hooks by name alone."""
    name = "on_success" if Status(ended.record["status"]).is_success else "on_failure"
    recorded: Mapping[str, str] | None = plan.options.get(name)
    if recorded is not None:
        hook = find_named(recorded["function"], f"the hook {name} of pipeline '{plan.pipeline}'")
        call_run_hook(hook, hook, ended, error)
