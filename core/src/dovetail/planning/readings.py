"""What a step asked of its surroundings, and whether they would answer the same now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dovetail import digest
from dovetail.errors import DovetailError, NotFound
from dovetail.ledger import layout
from dovetail.planning.workspace import Workspace

Reading = dict[str, Any]
_FILES_IN_A_FOLDER = 10_000


def component_reading(workspace: Workspace, component_type: str) -> Reading:
    return {"kind": "component", "type": component_type, "answer": _component(workspace, component_type)}


def model_reading(name: str, wanted: int | str | None, answer: int | None) -> Reading:
    return {"kind": "model", "name": name, "wanted": wanted, "answer": answer}


def artifact_reading(name: str, wanted: int | None, answer: str | None) -> Reading:
    return {"kind": "artifact", "name": name, "wanted": wanted, "answer": answer}


def deployment_reading(name: str, number: int) -> Reading:
    return {"kind": "deployment", "name": name, "number": number, "answer": True}


def schedule_reading(tick: float | None) -> Reading:
    """For when a run was scheduled; every run is asked anew, so that it never answers the same."""
    return {"kind": "scheduled", "answer": tick}


def file_reading(workspace: Workspace, path: str) -> Reading:
    """A local file's or folder's content now. A file is named below the project where it lies there."""
    return {"kind": "file", "path": workspace.project.relative(path), "answer": content(path), "stat": stamp(path)}


def folder_reading(workspace: Workspace, path: str) -> Reading:
    """The names in a folder that a step listed."""
    return {"kind": "folder", "path": workspace.project.relative(path), "answer": _names(path)}


def file_changed_meanwhile(workspace: Workspace, path: str) -> Reading:
    """A file of which nobody can say what the step read; it never answers the same."""
    return {"kind": "file", "path": workspace.project.relative(path), "answer": "changed while it was read"}


def holds(reading: Mapping[str, Any], workspace: Workspace) -> bool:
    """Whether the answer would be the same now. What cannot be asked any more does not hold."""
    try:
        return bool(_ANSWERS[reading["kind"]](reading, workspace) == reading["answer"])
    except (DovetailError, OSError, KeyError):
        return False


def describe(reading: Mapping[str, Any]) -> str:
    kind = reading["kind"]
    if kind == "folder":
        return f"the folder {reading['path']} holds other files"
    if kind == "file":
        return f"the file {reading['path']} changed"
    if kind == "component":
        return f"the stack's {reading['type'].replace('_', ' ')} is another"
    if kind == "model":
        return f"model '{reading['name']}' {reading['wanted'] or 'newest'} is another version than {reading['answer']}"
    if kind == "scheduled":
        return "it asked for when its run was scheduled"
    if kind == "deployment":
        return f"the deployment '{reading['name']}' is not alive"
    return f"{kind} '{reading.get('name')}' is another"


def asked(reading: Mapping[str, Any]) -> str:
    """What was asked, in a few words."""
    kind = reading["kind"]
    if kind in ("file", "folder"):
        return f"the {kind} {reading['path']}"
    if kind == "component":
        return f"the stack's {reading['type'].replace('_', ' ')}"
    if kind == "model":
        return f"model '{reading['name']}' {reading['wanted'] or 'newest'}: version {reading['answer'] or 'none'}"
    return "for when its run was scheduled" if kind == "scheduled" else f"the {kind} '{reading.get('name')}'"


def content(path: str) -> str | None:
    """Digest of a file's content, or of a folder's files; None when there is nothing."""
    if os.path.isdir(path):
        return digest.of_json(_tree(path))
    try:
        return digest.of_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def stamp(path: str) -> list[int] | None:
    """What changes when a file is written to, even when its size and time are set back."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _tree(folder: str) -> list[list[Any]]:
    found: list[list[Any]] = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            found.append([os.path.relpath(path, folder), digest.of_file(path) if len(found) < _FILES_IN_A_FOLDER else stamp(path)])
    return found


def _file(reading: Mapping[str, Any], workspace: Workspace) -> str | None:
    path = os.path.join(workspace.project.root, reading["path"])
    recorded = reading.get("stat")
    if recorded is not None and not os.path.isdir(path) and stamp(path) == recorded:
        return str(reading["answer"])
    return content(path)


def _names(path: str) -> list[str]:
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def _component(workspace: Workspace, component_type: str) -> str | None:
    components: Any = workspace.stack.snapshot()["components"]
    found = components.get(component_type)
    return digest.of_json(found) if found is not None else None


def _model(reading: Mapping[str, Any], workspace: Workspace) -> int | None:
    try:
        return workspace.ledger.versions.resolve_model(reading["name"], reading["wanted"])
    except NotFound:
        return None


def _artifact(reading: Mapping[str, Any], workspace: Workspace) -> str | None:
    versions = workspace.ledger.versions
    if reading["wanted"] is not None:
        return (versions.artifact(reading["name"], reading["wanted"]) or {}).get("digest")
    return next((record["digest"] for _, record in versions.artifacts(reading["name"])), None)


def _deployment(reading: Mapping[str, Any], workspace: Workspace) -> bool:
    record = workspace.ledger.records.get(f"{layout.deployments(reading['name'])}/{reading['number']}.json")
    deployer: Any = workspace.stack.build("model_deployer")
    from dovetail.components.model_deployer import DeploymentStatus

    return deployer is not None and deployer.status(record["handle"]) is DeploymentStatus.RUNNING


_ANSWERS = {
    "file": _file,
    "folder": lambda reading, workspace: _names(os.path.join(workspace.project.root, reading["path"])),
    "component": lambda reading, workspace: _component(workspace, reading["type"]),
    "model": _model,
    "artifact": _artifact,
    "deployment": _deployment,
}
