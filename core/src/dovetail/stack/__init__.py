"""Which components a pipeline runs on: stacks, where they are kept, which one is active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.stack.active import Choice, choose_stack
from dovetail.stack.references import redact
from dovetail.stack.resolving import resolve_stack
from dovetail.stack.stack import ComponentSpec, Stack

if TYPE_CHECKING:
    from dovetail.stack.checks import check_stack
    from dovetail.stack.store import StackStore

__all__ = ["Choice", "ComponentSpec", "Stack", "StackStore", "check_stack", "choose_stack", "redact", "resolve_stack"]


def __getattr__(name: str) -> Any:
    # A run on the built-in stack reads no stack file, so it need not import what does.
    from importlib import import_module

    homes = {"StackStore": "dovetail.stack.store", "check_stack": "dovetail.stack.checks"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
