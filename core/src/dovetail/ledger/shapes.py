"""What every reader of a record counts on: a record without it is as good as unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.digest import is_digest
from dovetail.ledger.layout import is_run_id
from dovetail.values.names import is_name
from dovetail.values.plan import Status

_NUMBER = (int, float)
_RUN = {"name": is_name, "pipeline": is_name, "stack": str, "created": _NUMBER}
_STATUSES = frozenset(status.value for status in Status)
_SHAPES: dict[str, Mapping[str, Any]] = {
    "run.json": _RUN,
    "finished.json": {**_RUN, "status": _STATUSES, "ended": _NUMBER, "steps": dict},
    "outcome.json": {"status": _STATUSES, "started": _NUMBER, "ended": _NUMBER},
    "plan.json": {},
}
_NUMBERED: dict[str, Mapping[str, Any]] = {
    "names/artifacts": {"name": is_name, "digest": is_digest},
    "versions": {"name": is_name, "run": is_run_id, "at": _NUMBER},
    "stages": {"name": is_name, "version": int, "stage": str},
    "deployments": {"name": is_name, "digest": is_digest, "handle": dict},
    "cache": {"outputs": dict, "run": is_run_id, "invocation": is_name},
}


def odd_field(path: str, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a record that stands at this path, or None."""
    for name, kind in _shape(path).items():
        if name not in record:
            return f"it has no '{name}'"
        if not _is(record[name], kind):
            return f"its '{name}' is {str(record[name])[:60]!r}"
    if path.endswith("/finished.json"):
        return next(
            (f"it has the odd step {name[:60]!r}" for name, step in record["steps"].items() if not _is_step(name, step)), None
        )
    if path.endswith("/outcome.json") or path.startswith("cache/"):
        return next(
            (f"its output {name[:60]!r} names no artifact" for name, output in _outputs(record) if not _is_output(output)), None
        )
    return None


def _shape(path: str) -> Mapping[str, Any]:
    parts = path.split("/")
    if parts[-1] in _SHAPES:
        return _SHAPES[parts[-1]]
    for key in ("/".join(parts[:2]), parts[-2] if len(parts) > 1 else "", parts[0]):
        if key in _NUMBERED:
            return _NUMBERED[key]
    return {}


def _is(value: object, kind: Any) -> bool:
    if isinstance(kind, frozenset):
        return isinstance(value, str) and value in kind
    if kind in (is_name, is_digest, is_run_id):
        return isinstance(value, str) and bool(kind(value))
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_step(name: str, step: Any) -> bool:
    return is_name(name) and isinstance(step, Mapping) and step.get("status") in _STATUSES


def _outputs(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    outputs = record.get("outputs", {})
    return list(outputs.items()) if isinstance(outputs, Mapping) else [("outputs", outputs)]


def _is_output(output: Any) -> bool:
    if not isinstance(output, Mapping) or not _is(output.get("digest"), is_digest):
        return False
    return output.get("artifact") is None or (is_name(output["artifact"]) and isinstance(output.get("version"), int))
