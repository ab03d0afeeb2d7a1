"""What every reader of a record counts on: a record without it is as good as unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.digest import is_digest
from dovetail.ledger.layout import is_run_id
from dovetail.values.names import is_name
from dovetail.values.plan import Status

Kind = Any  # a type, a set of values, a test, (…) any of these, [kind] a list of it, {"*": kind} a mapping to it, {"name": kind} its fields

_NAMES = "*names"  # as "*", with keys that are names
_NUMBER = (int, float)
_STATUS = frozenset(status.value for status in Status)
_PLACE = {"run": is_run_id, "invocation": is_name}
_OUTPUT = {"digest": is_digest, "artifact?": (is_name, None), "version?": (int, None), "type?": str, "size?": int, "metadata?": dict, "tags?": [str]}
_GIVEN = {"value?": object, "artifact?": is_digest, "list?": [dict], "dict?": dict}
_SAID = {"params?": dict, "metrics?": {"*": list}, "metadata?": dict, "readings?": [dict]}
_STEP = {"status": _STATUS, "started": _NUMBER, "ended": _NUMBER, "inputs?": {"*": [is_digest]}, "outputs?": {"*": _OUTPUT}, "metrics?": {"*": _NUMBER}, "children?": [is_name], "key?": str}
_RUN = {"name": is_name, "pipeline": is_name, "stack": str, "created": _NUMBER, "models?": {"*": (int, None)}, "pins?": {"*": int}, "used?": {"*": int}, "tags?": [str], "parameters?": dict, "owner?": dict, "scheduled_for?": (*_NUMBER, None), "package?": (str, None)}
_SHAPES: dict[str, Mapping[str, Kind]] = {
    "format.json": {"store": str},
    "run.json": _RUN,
    "started.json": {"models?": {"*": (int, None)}, "prepared?": dict, "started?": _NUMBER},
    "failure.json": {"step": is_name},
    "engine.json": {"orchestrator": str, "graph": str},
    "graph.json": {"address": str},
    "finished.json": {**_RUN, "status": _STATUS, "ended": _NUMBER, "steps": {_NAMES: _STEP}},
    "expansion.json": {"children": [is_name]},
    "outcome.json": {
        "status": _STATUS, "started": _NUMBER, "ended": _NUMBER, "attempt?": int, "inputs?": {"*": _GIVEN}, "outputs?": {"*": _OUTPUT},
        "children?": [is_name], "cached?": _PLACE, "saved?": [_OUTPUT], "key?": str, "code?": str, "why?": str, "uncached?": str,
        "error?": {"type": str, "message": str}, **_SAID,
    },
}  # fmt: skip
_NUMBERED: dict[str, Mapping[str, Kind]] = {
    "names/artifacts": {"name": is_name, "digest": is_digest, "run?": is_run_id, "invocation?": is_name, "output?": str, "tags?": [str]},
    "versions": {"name": is_name, "run": is_run_id, "at": _NUMBER},
    "stages": {"name": is_name, "version": int, "stage": str, "refused?": str, "gates?": [dict], "approved_by?": [str]},
    "approvals": {"name": is_name, "version": int, "stage": str, "by": str, "at": _NUMBER, "approves": frozenset({"yes", "no"})},
    "schedules": {
        "name": is_name, "at": _NUMBER, "cron?": str, "timezone?": str, "overlap?": str, "missed?": str, "run_name?": str, "plan?": dict, "address?": str,
        "kept_by?": str, "status?": frozenset({"ended", "paused", "resumed"}),
    },
    "ticks": {"at": _NUMBER, "name?": is_name, "due?": _NUMBER, "schedule?": int, "run?": is_run_id, "why?": str, "by?": dict, "after?": [is_run_id]},
    "deployments": {"name": is_name, "digest": is_digest, "handle": dict},
    "cache": {"outputs": {"*": _OUTPUT}, **_PLACE, **_SAID},
}


def odd_field(path: str, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a record that stands at this path, or None."""
    return _odd(record, _shape(path), "")


def _shape(path: str) -> Mapping[str, Kind]:
    parts = path.split("/")
    if parts[-1] in _SHAPES:
        return _SHAPES[parts[-1]]
    inner = parts[-2] if len(parts) > 1 and parts[0] == "names" else ""  # anywhere else it is what somebody called something
    for key in ("/".join(parts[:2]), inner, parts[0]):
        if key in _NUMBERED:
            return _NUMBERED[key]
    return {}


def _odd(value: Any, kind: Kind, name: str) -> str | None:
    """What is wrong with the value that `name` has, or None."""
    if isinstance(kind, dict):
        if not isinstance(value, Mapping):
            return _wrong(name, value)
        if _NAMES in kind:
            odd = next((f"it has the odd name {key[:60]!r} in '{name}'" for key in value if not is_name(key)), None)
            return odd or _odd(value, {"*": kind[_NAMES]}, name)
        if "*" in kind:
            return next((odd for key, item in value.items() if (odd := _odd(item, kind["*"], f"{name}.{key}"))), None)
        for field, expected in kind.items():
            bare = field.rstrip("?")
            if bare in value:
                odd = _odd(value[bare], expected, f"{name}.{bare}" if name else bare)
            else:
                odd = None if bare != field else f"it has no '{name}.{bare}'" if name else f"it has no '{bare}'"
            if odd is not None:
                return odd
        return None
    if isinstance(kind, list):
        if not isinstance(value, list):
            return _wrong(name, value)
        return next((odd for item in value if (odd := _odd(item, kind[0], name))), None)
    return None if _is(value, kind) else _wrong(name, value)


def _is(value: object, kind: Kind) -> bool:
    if isinstance(kind, tuple):
        return any(_is(value, each) for each in kind)
    if isinstance(kind, frozenset):
        return isinstance(value, str) and value in kind
    if kind is None:
        return value is None
    if isinstance(kind, type):
        return isinstance(value, kind) and (kind is object or not isinstance(value, bool))
    return isinstance(value, str) and bool(kind(value))


def _wrong(name: str, value: object) -> str:
    return f"its '{name[:80]}' is {str(value)[:60]!r}"
