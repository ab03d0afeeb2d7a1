"""Artifacts of the record as W&B artifacts: references that say where the payload lies, so that W&B draws the lineage and keeps no copy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dovetail.components import StepRun
from dovetail_wandb.session import quiet

_REFUSED = re.compile(r"[^A-Za-z0-9_.-]+")
_CHARACTERS = 128
_MARK = 8  # characters of a hash, for names that W&B does not allow as they are


def mirror(run: Any, step_run: StepRun) -> None:
    """Say which artifacts the step took and gave. Equal content under one name is one version there too."""
    for told in _named(step_run.inputs):
        _use(run, _artifact(told))
    for told in step_run.outputs.values():
        if told.get("artifact"):
            run.log_artifact(_artifact(told), aliases=["latest", f"dovetail-v{told['version']}"])


def _named(inputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Each artifact once; a value that came from outside the pipeline without a name is no artifact of W&B's kind."""
    seen = set()
    for each in (each for taken in inputs.values() for each in taken):
        if each.get("artifact") and (each["artifact"], each["digest"]) not in seen:
            seen.add((each["artifact"], each["digest"]))
            yield each


def _artifact(told: Mapping[str, Any]) -> Any:
    import wandb

    metadata = {"digest": told["digest"], "version": told["version"], "type": told["type"], "artifact": told["artifact"]}
    made = wandb.Artifact(name_of(told["artifact"]), type=name_of(told["kind"]), metadata=metadata)
    with quiet():
        made.add_reference(reference(told["uri"]), name="payload", checksum=False)
    return made


def _use(run: Any, artifact: Any) -> None:
    """What `use_artifact` does with a new artifact, but it refuses to do so offline, and online waits for the server."""
    run._log_artifact(artifact, aliases=[], is_user_created=True, use_after_commit=True)


def name_of(name: str) -> str:
    """The name if W&B allows it, else one like it that no other name becomes."""
    if len(name) <= _CHARACTERS and not _REFUSED.search(name):
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:_MARK]
    return f"{_REFUSED.sub('-', name)[: _CHARACTERS - _MARK - 1]}-{mark}"


def reference(uri: str) -> str:
    """An address that W&B keeps as it is: folders it would list file by file, and into buckets it looks with their vendors' libraries."""
    return f"dovetail+{uri if '://' in uri else Path(uri).absolute().as_uri()}"
