"""From samples to two Markdown tables: the medians, and for each stated reach whether this run met it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from environments import PEERS
from workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from workloads import Row, Workload

# (row, peer) to the values of the rounds, in the row's own unit.
Samples = dict[tuple[str, str], list[float]]
TITLES = {peer.name: peer.title for peer in PEERS}


@dataclass(frozen=True)
class Reach:
    """Dovetail's `row` is at most `limit` times the same row of a peer, of the best peer, or of another row of its own."""

    row: str
    limit: float
    against: str = "zenml"
    shown: str = ""


REACHES = (
    Reach("import", 1 / 15, shown="1/15"),
    Reach("help", 1 / 8, shown="1/8"),
    Reach("plugins", 30, "seconds", "30 ms"),
    Reach("one-step", 1 / 20, shown="1/20"),
    Reach("one-step-memory", 1 / 3, shown="1/3"),
    Reach("chain-100", 1 / 90, shown="1/90"),
    Reach("chain-100", 1.0, "every peer", "below 1"),
    Reach("cached-100", 1 / 100, shown="1/100"),
    Reach("chain-10000", 1.3, "chain-100", "1.3"),
    Reach("frame", 1.2, "pyarrow", "1.2"),
    Reach("frame-memory", 1.2, "pyarrow", "1.2"),
    Reach("sleep", 0.3, "seconds", "0.3 s"),
    Reach("list", 1 / 10, shown="1/10"),
    Reach("list-command", 1 / 8, shown="1/8"),
    Reach("record", 1 / 90, shown="1/90"),
)


def value_of(row: Row, sample: Mapping[str, float], size: int) -> float | None:
    """One round's value in the row's unit; none where the peer cannot do what the row measures."""
    if row.key not in sample:
        return None
    value = sample[row.key] * row.times / (size if row.per_size else 1)
    return value * 1000 if row.unit == "ms" else value


def medians_table(samples: Samples, failures: Mapping[tuple[str, str], str], versions: Mapping[str, str]) -> str:
    peers = list(versions)
    lines = [
        "| | " + " | ".join(f"{TITLES[peer]} {versions[peer]}" for peer in peers) + " |",
        "|---|" + "---:|" * len(peers),
    ]
    for workload, row in _rows():
        cells = [_cell(workload, row, peer, samples, failures) for peer in peers]
        if any(cell for cell in cells):
            lines.append(f"| {row.title} | " + " | ".join(cell or "–" for cell in cells) + " |")
    return "\n".join(lines)


def _rows() -> Iterable[tuple[Workload, Row]]:
    return ((workload, row) for workload in WORKLOADS for row in workload.rows)


def _cell(workload: Workload, row: Row, peer: str, samples: Samples, failures: Mapping[tuple[str, str], str]) -> str:
    if (workload.name, peer) in failures:
        return "failed"
    values = samples.get((row.name, peer))
    return f"{shown(median(values))} {row.unit}" if values else ""


def shown(value: float) -> str:
    """Three digits are as many as a median of a few rounds carries."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


def reaches_table(samples: Samples) -> str:
    lines = ["| | Dovetail | against | ratio | reach | met |", "|---|---:|---:|---:|---:|---|"]
    titles = {row.name: row for _, row in _rows()}
    for reach in REACHES:
        own, other = samples.get((reach.row, "dovetail")), _other(reach, samples)
        if own and other:
            ratio = median(own) / other[1]
            met = "yes" if (ratio < 1 if reach.against == "every peer" else ratio <= reach.limit) else "**no**"
            row = titles[reach.row]
            ratio_shown = f"1/{1 / ratio:.3g}" if ratio < 0.5 else f"{ratio:.2f}"  # noqa: PLR2004
            cells = (row.title, f"{shown(median(own))} {row.unit}", other[0], ratio_shown, reach.shown, met)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""  # noqa: PLR2004


def _other(reach: Reach, samples: Samples) -> tuple[str, float] | None:
    """What the row is held against, as it is shown and as a number in the row's unit."""
    if reach.against == "seconds":
        return "–", 1.0
    if reach.against in TITLES:
        return _named(TITLES[reach.against], samples.get((reach.row, reach.against)))
    if reach.against == "every peer":
        peers = [
            (median(values), peer)
            for (row, peer), values in samples.items()
            if row == reach.row and peer not in ("dovetail", "pyarrow")
        ]
        return (f"{TITLES[min(peers)[1]]}, the best: {shown(min(peers)[0])}", min(peers)[0]) if peers else None
    return _named("at 100", samples.get((reach.against, "dovetail")))


def _named(name: str, values: Sequence[float] | None) -> tuple[str, float] | None:
    return (f"{name}: {shown(median(values))}", median(values)) if values else None
