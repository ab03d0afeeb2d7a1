"""The code that a run keeps: the project files that its keys reached; where steps run elsewhere it is the whole project instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dovetail.components.component import Capability
from dovetail.ledger import layout
from dovetail.ledger.code_packages import store_code
from dovetail.ledger.records import Records
from dovetail.planning.code.source import content, stamp
from dovetail.planning.workspace import Workspace
from dovetail.values.plan import PlanStep
from dovetail.values.project import Project

_packed: dict[tuple[tuple[str, int, int], ...], str] = {}
_kept: set[tuple[str, str, str]] = set()  # store, package, and the day on which this process noted its use


@dataclass(frozen=True)
class Kept:
    """`package`: its digest. `code`: what the run's header says of a whole project. `problems`: why nothing could be kept."""

    package: str | None = None
    code: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def runs_elsewhere(workspace: Workspace, steps: Iterable[PlanStep] = ()) -> bool:
    """Whether the stack runs these steps, or all steps, where the project's files are not."""
    orchestrator = workspace.stack.build("orchestrator")
    if orchestrator is not None and Capability.REMOTE in orchestrator.capabilities:
        return True
    return "step_operator" in workspace.stack.components and any(step.options.get("step_operator") for step in steps)


def keep_code(records: Records, project: Project, files: Iterable[Path]) -> str | None:
    """Store these project files, once per content, and give the package's digest; None for no files."""
    places = import_paths(files)
    if not places:
        return None
    stamps = tuple((place, *stamp(place)) for place in places.values())
    package = _packed.get(stamps)
    store = records.format(create=True)["store"]
    if package is None or (store, package, layout.today()) not in _kept:
        origins = {name: project.relative(place) for name, place in places.items()}
        package = store_code(records, {name: content(place) for name, place in places.items()}, origins)
        _packed[stamps] = package
        _kept.add((store, package, layout.today()))
    return package


def import_paths(files: Iterable[Path]) -> dict[str, str]:
    """Absolute file by its path below the folder that it is imported from, sorted."""
    roots = sorted({os.path.abspath(entry or os.getcwd()) for entry in sys.path if entry is not None}, key=len, reverse=True)
    places: dict[str, str] = {}
    for file in sorted(os.fspath(file) for file in files):
        root = next((root for root in roots if file.startswith(root + os.sep)), os.path.dirname(file))
        places.setdefault(file[len(root) + 1 :].replace(os.sep, "/"), file)
    return dict(sorted(places.items()))
