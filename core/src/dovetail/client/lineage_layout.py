"""Where each step of a lineage stands in a picture: layers from top to bottom, so that every line leads downwards."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dovetail.client.lineage import OUTSIDE, Lineage

_SWEEPS = 8
_GAP = 26.0  # between neighbours
_BEND = 10.0  # the room that a line takes where it passes a layer


@dataclass(frozen=True)
class Line:
    """From an artifact to a step that takes it. `bends`: where it passes the layers between. `output` is "" where only order is meant."""

    producer: str
    output: str
    target: str
    bends: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True)
class Layout:
    """`x`: the middle of each step. `layer`: how far down it stands, from 0. `left`, `right`: how far the picture reaches."""

    x: Mapping[str, float]
    layer: Mapping[str, int]
    lines: tuple[Line, ...]
    left: float
    right: float


def lay_out(lineage: Lineage, widths: Mapping[str, float]) -> Layout:
    """Layers by the longest way from the top; then neighbours are put in an order with few crossings, and moved towards each other."""
    lines = _lines(lineage)
    layer = _layers(lineage, lines)
    grid = _Grid(layer, widths, lines)
    grid.order()
    x = grid.place()
    found = tuple(Line(line.producer, line.output, line.target, grid.bends(number, x)) for number, line in enumerate(lines))
    left = min((x[name] - widths[name] / 2 for name in layer), default=0.0)
    right = max((x[name] + widths[name] / 2 for name in layer), default=0.0)
    bends = [place for line in found for place, _ in line.bends]
    return Layout({name: x[name] for name in layer}, layer, found, min([left, *bends]), max([right, *bends]))


def _lines(lineage: Lineage) -> list[Line]:
    found = []
    for step in lineage.steps.values():
        found += [Line(producer, output, step.name) for producer, output in step.takes if producer != OUTSIDE]
        giving = {producer for producer, _ in step.takes}
        found += [Line(name, "", step.name) for name in step.awaits if name in lineage.steps and name not in giving]
    return found


def _layers(lineage: Lineage, lines: Sequence[Line]) -> dict[str, int]:
    upstream: dict[str, set[str]] = {name: set() for name in lineage.steps}
    for line in lines:
        upstream[line.target].add(line.producer)
    layer: dict[str, int] = {}
    for name in lineage.steps:  # each stands behind what it takes from
        layer[name] = 1 + max((layer.get(above, 0) for above in upstream[name]), default=-1)
    return layer


class _Grid:
    """Steps and bends of lines, in rows. A bend is named by its line's number and its layer."""

    def __init__(self, layer: Mapping[str, int], widths: Mapping[str, float], lines: Sequence[Line]) -> None:
        self._rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
        self._width: dict[str, float] = dict(widths)
        self._above: dict[str, list[str]] = {}
        self._below: dict[str, list[str]] = {}
        self._chains: list[list[str]] = []
        for name, row in layer.items():
            self._rows[row].append(name)
        for number, line in enumerate(lines):
            self._chains.append(self._chain(number, line, layer))

    def _chain(self, number: int, line: Line, layer: Mapping[str, int]) -> list[str]:
        """The names that a line passes, made of bends but for its ends."""
        bends = [f"{number}/{row}" for row in range(layer[line.producer] + 1, layer[line.target])]
        for bend, row in zip(bends, range(layer[line.producer] + 1, layer[line.target]), strict=True):
            self._rows[row].append(bend)
            self._width[bend] = _BEND
        chain = [line.producer, *bends, line.target]
        for upper, lower in itertools.pairwise(chain):
            self._below.setdefault(upper, []).append(lower)
            self._above.setdefault(lower, []).append(upper)
        return chain

    def bends(self, number: int, x: Mapping[str, float]) -> tuple[tuple[float, int], ...]:
        return tuple((x[bend], int(bend.rpartition("/")[2])) for bend in self._chains[number][1:-1])

    def order(self) -> None:
        """Sort each row by the mean place of its neighbours, downwards and upwards in turn."""
        for sweep in range(_SWEEPS):
            neighbours, rows = (self._above, self._rows[1:]) if sweep % 2 == 0 else (self._below, self._rows[-2::-1])
            place = {name: float(number) for row in self._rows for number, name in enumerate(row)}
            for row in rows:
                mean = {name: _mean((place[other] for other in neighbours.get(name, ())), place[name]) for name in row}
                row.sort(key=mean.__getitem__)
                place.update({name: float(number) for number, name in enumerate(row)})

    def place(self) -> dict[str, float]:
        x: dict[str, float] = {}
        for row in self._rows:
            x.update(zip(row, self._offsets(row), strict=True))
        for sweep in range(_SWEEPS):
            neighbours, rows = (self._above, self._rows[1:]) if sweep % 2 == 0 else (self._below, self._rows[-2::-1])
            for row in rows:
                wanted = [_mean((x[other] for other in neighbours.get(name, ())), x[name]) for name in row]
                x.update(zip(row, _spread(wanted, self._offsets(row)), strict=True))
        return x

    def _offsets(self, row: Sequence[str]) -> list[float]:
        """The middles of a row's members, packed as tightly as may be."""
        offsets, at = [], 0.0
        for name in row:
            at += self._width[name] / 2
            offsets.append(at)
            at += self._width[name] / 2 + _GAP
        return offsets


def _mean(places: Iterable[float], otherwise: float) -> float:
    found = list(places)
    return sum(found) / len(found) if found else otherwise


def _spread(wanted: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones, by least squares, that keep order and distance: pool adjacent violators."""
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        mean, size = want - offset, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        pools.append((mean, size))
    shifts = [mean for mean, size in pools for _ in range(size)]
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]
