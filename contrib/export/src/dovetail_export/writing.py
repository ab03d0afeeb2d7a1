"""Rows as CSV or JSON lines, on standard output or in a file that appears when it is whole."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

Row = Mapping[str, Any]


def write(rows: Iterable[Row], columns: Sequence[str], format_: str, to: str | None) -> int:
    """How many rows were written. A file that exists is replaced once all is written, and stays as it is if that fails."""
    writer = _csv if format_ == "csv" else _json_lines
    if to is None:
        return writer(rows, columns, sys.stdout)
    handle, aside = tempfile.mkstemp(prefix=".", suffix=".part", dir=os.path.dirname(os.path.abspath(to)))
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            count = writer(rows, columns, file)
        os.chmod(aside, 0o666 & ~_umask())  # as if it had been opened where it stands
        os.replace(aside, to)
    except BaseException:
        os.unlink(aside)
        raise
    return count


def _json_lines(rows: Iterable[Row], columns: Sequence[str], file: TextIO) -> int:
    """Numbers that JSON has no word for become null."""
    return sum(bool(file.write(json.dumps(_finite(row), ensure_ascii=False, default=str) + "\n")) for row in rows)


def _csv(rows: Iterable[Row], columns: Sequence[str], file: TextIO) -> int:
    """All rows are read before the first is written: only then are the names of all columns known."""
    flat = [dict(_flat(row)) for row in rows]
    names = dict.fromkeys(columns)
    names.update(dict.fromkeys(sorted({name for row in flat for name in row} - set(columns))))
    writer = csv.DictWriter(file, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return len(flat)


def _flat(row: Row, before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{before}{name}", json.dumps(value, ensure_ascii=False, default=str)
        else:
            yield f"{before}{name}", value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
