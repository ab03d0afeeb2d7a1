"""The cache key: what a step's result depends on, digested."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dovetail import digest
from dovetail.values.graph import OutputSpec
from dovetail.values.plan import Code

KEY_VERSION = 1
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def base_of(
    code: str, packages: Mapping[str, str], outputs: tuple[OutputSpec, ...], materializers: Mapping[str, str], extra: Any,
    python: str = PYTHON,
) -> str:  # fmt: skip
    """Digest of all parts of a key that are known without the step's inputs. `python`: in which the step will run."""
    return digest.of_json(
        {
            "version": KEY_VERSION,
            "code": code,
            "packages": dict(packages),
            "python": python,
            "outputs": [[output.name, output.materializer, output.itemwise] for output in outputs],
            "materializers": dict(materializers),
            "extra": extra,
        }
    )


def key_of(base: str, inputs: Mapping[str, Any]) -> str:
    """The key of a step with these inputs, each resolved to parameters' encodings and artifacts' digests; the order in dicts counts."""
    counted = {name: _counted(given) for name, given in inputs.items()}
    return digest.of_json({"base": base, "inputs": {name: json.dumps(given) for name, given in counted.items()}})


def _counted(given: Mapping[str, Any]) -> Any:
    """An input without what says nothing of its content: names, versions, producers."""
    if "value" in given:
        return {"value": given["value"]}
    if "artifact" in given:
        return {"artifact": given["artifact"]}
    if "list" in given:
        return {"list": [_counted(item) for item in given["list"]]}
    return {"dict": {key: _counted(item) for key, item in given["dict"].items()}}


def resolve(given: Mapping[str, Any], output_of: Callable[[str, str], Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """An input with each reference replaced by the artifact that it became; None while one is not known.

    `output_of` gives the recorded output of an invocation, by its name.
    """
    if "artifact" in given:
        return dict(given)
    if "from" in given:
        output = output_of(given["from"], given["output"])
        if output is None:
            return None
        return {"artifact": output["digest"], "name": output.get("artifact"), "version": output.get("version"), "from": given["from"]}
    if "list" in given:
        items = [resolve(item, output_of) for item in given["list"]]
        return None if None in items else {"list": items}
    if "dict" in given:
        members = {key: resolve(item, output_of) for key, item in given["dict"].items()}
        return None if None in members.values() else {"dict": members}
    return dict(given)


def references(given: Mapping[str, Any]) -> Iterator[str]:
    """The digests of all artifacts in a resolved input."""
    return (each["artifact"] for each in used(given))


def used(given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All artifacts in a resolved input, as it names them."""
    if "artifact" in given:
        yield given
    for item in given.get("list", ()):
        yield from used(item)
    for item in given.get("dict", {}).values():
        yield from used(item)


def changed(now: Mapping[str, Any], then: Mapping[str, Any], code_now: Code | None, code_then: Code | None) -> list[str]:
    """What differs between two step runs' keys, one line each. `now` and `then` are resolved inputs."""
    lines = []
    for name in sorted({*now, *then}):
        before, after = then.get(name), now.get(name)
        if before is None or after is None or _counted(before) != _counted(after):
            kind = "parameter" if "value" in (after or before or {}) else "input"
            lines.append(_difference(kind, name, before, after))
    for kind, left, right in (
        ("code", code_now.parts if code_now else {}, code_then.parts if code_then else {}),
        ("package", code_now.packages if code_now else {}, code_then.packages if code_then else {}),
    ):
        for name in sorted({*left, *right}):
            if right.get(name) != left.get(name):
                lines.append(_difference(kind, name, right.get(name), left.get(name)))
    return lines


def _difference(kind: str, name: str, before: Any, after: Any) -> str:
    if before is None:
        return f"{kind} {name} is new"
    if after is None:
        return f"{kind} {name} is gone"
    if kind == "code":
        return f"code {name} changed"
    return f"{kind} {name} changed from {_shown(before)} to {_shown(after)}"


def _shown(given: Any) -> str:
    """An input, or a package's version, in a few words."""
    if not isinstance(given, Mapping):
        return str(given)[:60]
    if "artifact" in given:
        name = f"{given['name']} v{given['version']}" if given.get("version") is not None else "artifact"
        return f"{name} ({given['artifact'][:8]})"
    if "value" in given:
        return repr(given["value"])[:60]
    return f"{len(given.get('list', given.get('dict', ())))} items"
