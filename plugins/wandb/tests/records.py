"""Reads what the W&B client wrote offline: frames of a LevelDB log, each a record of W&B's own protocol."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.components import StepRun
from dovetail.testing import Recorded
from dovetail_wandb.said import OWN, STATUS, STEP
from dovetail_wandb.tracker import run_id

_SECONDS = 2.0
_BLOCK = 32768
_HEADER = struct.Struct("<IHB")  # checksum, length, kind
_START = 7  # the file's own header
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class Written:
    """What one W&B run was told, over all the times it was opened."""

    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    metrics: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    run: Any = None
    exit_code: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)


def read(folder: Path, identity: str) -> Written:
    """`folder`: the tracker's `dir`. W&B's helper process writes the end of a file a moment after `finish` has returned."""
    until = time.monotonic() + _SECONDS
    while (written := _read(folder, identity)).exit_code is None and time.monotonic() < until:
        time.sleep(0.02)
    return written


def _read(folder: Path, identity: str) -> Written:
    from wandb.proto import wandb_internal_pb2

    written = Written()
    for place in sorted((folder / "wandb").glob(f"*run-*-{identity}*")):
        written.exit_code = None
        for raw in _frames(place / f"run-{identity}.wandb"):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(raw)
            _take(written, record)
        kept = place / "files" / "files"
        written.files.update({each.relative_to(kept).as_posix(): each.read_bytes() for each in kept.rglob("*") if each.is_file()})
    return written


def recorded(folder: Path, step_run: StepRun) -> Recorded:
    written = read(folder, run_id(step_run))
    metrics: dict[str, list[tuple[float, int | None]]] = {}
    for row in written.history:
        for name, value in row.items():
            if not name.startswith("_") and name != STEP:
                metrics.setdefault(name, []).append((float(value), row.get(STEP)))
    params = {name: value for name, value in written.config.items() if name not in (OWN, "_wandb")}
    status = written.summary.get(STATUS) if written.exit_code is not None else None
    return Recorded(params, metrics, status, written.files, written.config.get(OWN, {}).get("tags", {}))


def runs(folder: Path) -> list[str]:
    """The ids of all W&B runs below a tracker's `dir`."""
    return sorted({each.stem.removeprefix("run-") for each in (folder / "wandb").glob("*/run-*.wandb")})


def _frames(path: Path) -> Iterator[bytes]:
    data = path.read_bytes() if path.exists() else b""
    position, pending = _START, b""
    while position + _HEADER.size <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER.size:
            position += left
            continue
        _, length, kind = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        chunk, position = data[position : position + length], position + length
        if kind == _WHOLE:
            yield chunk
        elif kind in (_FIRST, _MIDDLE):
            pending = chunk if kind == _FIRST else pending + chunk
        elif kind == _LAST:
            yield pending + chunk
        else:
            return  # zeros after the last record


def _take(written: Written, record: Any) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "history":
        written.history.append({_name(item): json.loads(item.value_json) for item in record.history.item})
    elif kind == "run":
        written.run, written.tags = record.run, tuple(record.run.tags)
        _update(written.config, record.run.config.update)
    elif kind == "config":
        _update(written.config, record.config.update)
    elif kind == "summary":
        _update(written.summary, record.summary.update)
    elif kind == "artifact":
        written.artifacts.append(record.artifact)
    elif kind == "metric":
        written.metrics[record.metric.name] = record.metric.step_metric
    elif kind == "exit":
        written.exit_code = record.exit.exit_code


def _update(target: dict[str, Any], items: Any) -> None:
    target.update({_name(item): json.loads(item.value_json) for item in items})


def _name(item: Any) -> str:
    return ".".join(item.nested_key) or item.key
