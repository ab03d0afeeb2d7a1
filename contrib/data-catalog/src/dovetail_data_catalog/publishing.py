"""From a run that ended to what a catalog is told of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dovetail import Client
from dovetail.errors import ConfigurationError, NotFound
from dovetail_data_catalog.interface import CatalogEntry, DataCatalog

if TYPE_CHECKING:
    from dovetail.client.views import Artifact, Run, StepRun


def publish_run(event: Mapping[str, Any]) -> None:
    """Publish what the run produced to its stack's catalog; nothing happens where the stack has none."""
    client = _client_of(str(event["stack"]))
    if client is None:
        return
    # Made by the stack itself: asked for by `active_stack`, it would count as something that a calling step depends on.
    catalog: Any = client.workspace.stack.build("data_catalog")
    if isinstance(catalog, DataCatalog):
        catalog.publish([entry for entry in entries_of(client.get_run(str(event["run"]))) if catalog.wants(entry.name)])


def _client_of(stack: str) -> Client | None:
    """None where the name leads to no stack: one that a program made by itself, or that was deleted while the run went on."""
    with contextlib.suppress(ConfigurationError):  # the active stack may be another one, and out of order
        client = Client()
        if client.active_stack.name == stack:
            return client
    try:
        return Client(stack)
    except NotFound:
        return None


def entries_of(run: Run) -> Iterator[CatalogEntry]:
    """An entry for each artifact with a name that the run's steps gave; one from the cache stands under the run that produced it."""
    for step in run.steps.values():
        for artifact in step.outputs.values():
            producer = step if step.status == "completed" else artifact.producer or step
            if artifact.name is not None and artifact.version is not None:
                yield _entry(producer, artifact)


def _entry(producer: StepRun, artifact: Artifact) -> CatalogEntry:
    ended = datetime.fromtimestamp((producer.outcome or {}).get("ended", 0), timezone.utc)
    return CatalogEntry(
        name=str(artifact.name),
        version=int(artifact.version or 0),
        digest=artifact.digest,
        type=artifact.type.replace(":", "."),
        kind=artifact.kind,
        size=artifact.size,
        uri=artifact.uri,
        pipeline=producer.run.pipeline,
        run_id=producer.run.id,
        run_name=producer.run.name,
        step=producer.name,
        produced=ended.isoformat(timespec="seconds"),
        tags=artifact.tags,
        metadata=json.loads(json.dumps(artifact.metadata, default=str)),
    )
