"""The stack that a run uses."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dovetail.errors import NotFound
from dovetail.registry import Registry
from dovetail.stack.active import choose_stack
from dovetail.stack.builtin import DEFAULT, default_stack
from dovetail.stack.stack import Stack
from dovetail.values.project import Project


def resolve_stack(
    project: Project, registry: Registry, name: str | None = None, environ: Mapping[str, str] = os.environ
) -> Stack:
    """The stack to use. Raises NotFound, saying who chose it, for one that does not exist."""
    choice = choose_stack(project, name, environ)
    if choice.name == DEFAULT:
        return default_stack(project, registry, environ)
    from dovetail.stack.store import StackStore

    store = StackStore(project, registry, environ)
    try:
        return store.get(choice.name)
    except NotFound as error:
        if name or error.name != choice.name:
            raise
        raise NotFound("stack", choice.name, store.list(), f"It was chosen by {choice.source}.") from None
