"""Which stack is the active one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dovetail.stack.builtin import DEFAULT
from dovetail.values.project import Project

VARIABLE = "DOVETAIL_STACK"


@dataclass(frozen=True, slots=True)
class Choice:
    """`source`: what said so, in words."""

    name: str
    source: str


def active_file(project: Project) -> Path:
    return project.config / "active"


def active_name(project: Project) -> str | None:
    """What `dovetail stack set` chose, or None."""
    try:
        return active_file(project).read_text(encoding="utf-8", errors="replace").strip() or None
    except FileNotFoundError:
        return None


def choose_stack(project: Project, name: str | None = None, environ: Mapping[str, str] = os.environ) -> Choice:
    """The first that is set: `name`, DOVETAIL_STACK, `dovetail stack set`, the built-in stack."""
    if name:
        return Choice(name, "the stack that was asked for")
    if environ.get(VARIABLE):
        return Choice(environ[VARIABLE], VARIABLE)
    active = active_name(project)
    if active is None:
        return Choice(DEFAULT, "the built-in choice")
    if environ.get("CI", "").casefold() in ("true", "1") and active != DEFAULT:
        warnings.warn(
            f"CI is set, and stack '{active}' was chosen by `dovetail stack set` alone, which holds for one user on one machine. "
            f"Set {VARIABLE}, or pass the stack's name.",
            stacklevel=3,
        )
    return Choice(active, f"`dovetail stack set` (in {active_file(project)})")
