"""Secret values on their way from the process that submits a run to its workers elsewhere, by one variable of their environment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from dovetail.components.component import Secret
from dovetail.stack.references import mentioned

VARIABLE = "DOVETAIL_SECRETS"
_handed: dict[str, Mapping[str, Secret]] = {}


def to_hand(
    configurations: Sequence[Mapping[str, Any]], secret_of: Callable[[str], Mapping[str, Secret]], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Variables that let a worker resolve what these refer to, and nothing else."""
    variables, secrets = mentioned(configurations)
    found = {name: environ[name] for name in sorted(variables) if name in environ}
    values: dict[str, dict[str, str]] = {}
    for secret, key in sorted(secrets):
        known = secret_of(secret)
        if key in known:
            values.setdefault(secret, {})[key] = known[key].reveal()
    return {**found, VARIABLE: json.dumps(values)} if values else found


def hand_on() -> dict[str, str]:
    """What was handed to this process, for one that it starts."""
    values = {name: {key: value.reveal() for key, value in keys.items()} for name, keys in _handed.items()}
    return {VARIABLE: json.dumps(values)} if values else {}


def take(environ: MutableMapping[str, str] = os.environ) -> None:
    """Keep what was handed to this process, and let nothing that it starts inherit it."""
    said = environ.pop(VARIABLE, None)
    if said is not None:
        _handed.update({name: {key: Secret(value) for key, value in keys.items()} for name, keys in json.loads(said).items()})


def handed(name: str) -> Mapping[str, Secret] | None:
    return _handed.get(name)


def all_handed() -> frozenset[str]:
    """Every secret value that was handed to this process."""
    return frozenset(value.reveal() for keys in _handed.values() for value in keys.values())
