"""Durations, sizes and moments as a person reads them."""

from __future__ import annotations

from datetime import datetime, timezone

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def seconds_in_words(seconds: float) -> str:
    """`12 ms`, `3.4 s`, `5 min 10 s`, `2 h 5 min`."""
    if seconds < 1:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def bytes_in_words(size: int) -> str:
    """`512 bytes`, `3.1 MB`: a thousand of one are one of the next."""
    if size < 1000:
        return f"{size} byte{'' if size == 1 else 's'}"
    amount = float(size)
    for unit in _UNITS:
        amount /= 1000
        if amount < 1000 or unit == _UNITS[-1]:
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return ""


def moment_in_words(moment: datetime | float | None, *, seconds: bool = False) -> str:
    """`2026-03-01 14:05`, or with seconds, by this machine's clock; a dash for None."""
    if moment is None:
        return "-"
    found = datetime.fromtimestamp(moment, timezone.utc) if isinstance(moment, (int, float)) else moment
    return found.astimezone().strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
