"""A lineage as a picture (SVG), and as a page with the facts beside it (HTML). Both stand alone: no script, font or file from elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from dovetail.client.lineage import OUTSIDE, Lineage, LineageArtifact, LineageStep
from dovetail.client.lineage_layout import Layout, Line, lay_out
from dovetail.client.lineage_tree import MARKS
from dovetail.values.amounts import bytes_in_words, seconds_in_words

_CARD, _PILL, _BETWEEN = 46, 22, 46  # heights: of a step, of what it gives, from one layer to the next
_LAYER = _CARD + _PILL + _BETWEEN
_MARGIN, _HEAD, _PAD = 24, 64, 12
_LONGEST = 32  # characters of a name in the picture
_STYLE = """
.back{fill:#ffffff}.text{fill:#1f2937}.soft{fill:#6b7280}.line{fill:none;stroke:#9ca3af;stroke-width:1.4}.order{stroke-dasharray:3 4}
.card{stroke-width:1.4}.pill{fill:#f3f4f6;stroke:#9ca3af}.end{fill:#9ca3af}
.completed{fill:#e7f6ec;stroke:#2f9e5b}.cached{fill:#eaf1fb;stroke:#5b86c4}.failed{fill:#fdeaea;stroke:#d64545}
.running{fill:#fff6df;stroke:#d9a013}.skipped,.waiting{fill:#f5f5f5;stroke:#b5b5b5}.cancelled,.interrupted{fill:#f6eefb;stroke:#9a6bbf}
.skipped,.waiting,.cached{stroke-dasharray:5 3}
text{font-family:ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;font-size:12px}.name{font-size:13px;font-weight:600}
@media (prefers-color-scheme:dark){.back{fill:#111827}.text{fill:#e5e7eb}.soft{fill:#9ca3af}.pill{fill:#1f2937;stroke:#6b7280}
.completed{fill:#143322}.cached{fill:#152841}.failed{fill:#3f1818}.running{fill:#3a2d0a}.skipped,.waiting{fill:#1f2430}.cancelled,.interrupted{fill:#2c1d3a}}
"""
_PAGE_STYLE = """
:root{color-scheme:light dark}body{font:14px/1.5 ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.3rem}svg{max-width:100%;height:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .7rem;
border-bottom:1px solid #8884}th{font-weight:600}code{font-size:.9em}.picture{overflow-x:auto;margin:1rem 0}
"""


def svg(lineage: Lineage) -> str:
    """A picture of the run: a card for each step, below it what it gave, and lines to the steps that took it."""
    return _Picture(lineage).draw()


def html(lineage: Lineage) -> str:
    """A page with the picture and a table of the steps."""
    facts = " · ".join(_facts(lineage))
    rows = "\n".join(_row(lineage, step) for step in lineage.steps.values())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(lineage.run_name)}</title>'
        f"<style>{_PAGE_STYLE}</style></head><body>\n<h1>{escape(lineage.run_name)}</h1><p>{escape(facts)} · <code>{escape(lineage.run_id)}</code></p>\n"
        f'<div class="picture">{svg(lineage)}</div>\n<table><thead><tr><th>step</th><th>state</th><th>took</th><th>was given</th><th>gave</th>'
        f"<th>metrics</th></tr></thead><tbody>\n{rows}\n</tbody></table>\n</body></html>\n"
    )


class _Picture:
    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._pills = {
            step.name: [(key[1], _cut(lineage.artifacts[key].label)) for key in step.gives] for step in lineage.steps.values()
        }
        widths = {step.name: self._width(step) for step in lineage.steps.values()}
        self._layout: Layout = lay_out(lineage, widths)
        self._widths: Mapping[str, float] = widths
        self._shift = _MARGIN - self._layout.left

    def draw(self) -> str:
        height = _HEAD + _LAYER * (max(self._layout.layer.values(), default=0) + 1) - _BETWEEN + _MARGIN
        facts = " · ".join(_facts(self._lineage))
        title = _cut(self._lineage.run_name, 80)
        width = max(
            self._layout.right + self._shift + _MARGIN,
            _text_width(facts) + 2 * _MARGIN,
            _text_width(title, bold=True) + 2 * _MARGIN,
        )
        size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
        label = escape(f"Lineage of run {self._lineage.run_name}")
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
            f'<style>{_STYLE}</style><rect class="back" width="100%" height="100%"/>',
            f'<text class="text name" x="{_MARGIN}" y="26">{escape(title)}</text><text class="soft" x="{_MARGIN}" y="44">{escape(facts)}</text>',
            *(self._line(line) for line in self._layout.lines),
            *(part for step in self._lineage.steps.values() for part in self._card(step)),
            "</svg>",
        ]
        return "\n".join(parts)

    def _width(self, step: LineageStep) -> float:
        words = max(_text_width(_cut(step.name), bold=True), _text_width(_status(step)))
        pills = sum(_text_width(label) + 2 * _PAD for _, label in self._pills[step.name]) + 6 * max(
            0, len(self._pills[step.name]) - 1
        )
        return max(words + 2 * _PAD, pills)

    def _top(self, name: str) -> float:
        return _HEAD + self._layout.layer[name] * _LAYER

    def _middle(self, name: str) -> float:
        return self._layout.x[name] + self._shift

    def _card(self, step: LineageStep) -> Iterator[str]:
        words = max(_text_width(_cut(step.name), bold=True), _text_width(_status(step))) + 2 * _PAD
        x, y = self._middle(step.name), self._top(step.name)
        yield (
            f'<g><title>{escape(_told(self._lineage, step))}</title><rect class="card {escape(step.status)}" x="{x - words / 2:.1f}" y="{y:.1f}" '
            f'width="{words:.1f}" height="{_CARD}" rx="8"/><text class="text name" x="{x:.1f}" y="{y + 20:.1f}" text-anchor="middle">'
            f'{escape(_cut(step.name))}</text><text class="soft" x="{x:.1f}" y="{y + 37:.1f}" text-anchor="middle">{escape(_status(step))}</text></g>'
        )
        for (output, label), middle in zip(self._pills[step.name], self._pill_middles(step.name), strict=True):
            width = _text_width(label) + 2 * _PAD
            about = _about(self._lineage.artifacts[step.name, output])
            yield (
                f'<g><title>{escape(about)}</title><rect class="pill" x="{middle - width / 2:.1f}" y="{y + _CARD:.1f}" width="{width:.1f}" '
                f'height="{_PILL}" rx="{_PILL / 2}"/><text class="text" x="{middle:.1f}" y="{y + _CARD + 15:.1f}" text-anchor="middle">{escape(label)}</text></g>'
            )

    def _pill_middles(self, name: str) -> list[float]:
        widths = [_text_width(label) + 2 * _PAD for _, label in self._pills[name]]
        at = self._middle(name) - (sum(widths) + 6 * max(0, len(widths) - 1)) / 2
        middles = []
        for width in widths:
            middles.append(at + width / 2)
            at += width + 6
        return middles

    def _line(self, line: Line) -> str:
        outputs = [output for output, _ in self._pills[line.producer]]
        start = (
            self._pill_middles(line.producer)[outputs.index(line.output)]
            if line.output in outputs
            else self._middle(line.producer)
        )
        points = [(start, self._top(line.producer) + _CARD + (_PILL if outputs else 0))]
        points += [(x + self._shift, _HEAD + row * _LAYER + _CARD / 2) for x, row in line.bends]
        points.append((self._middle(line.target), self._top(line.target)))
        kind = "line" if line.output else "line order"
        tip_x, tip_y = points[-1]
        return f'<path class="{kind}" d="{_curve(points)}"/><path class="end" d="M{tip_x:.1f} {tip_y:.1f}l-4 -7h8z"/>'


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """One smooth stroke that leaves and arrives upright."""
    said = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        bend = (to_y - y) / 2
        said.append(f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(said)


def _facts(lineage: Lineage) -> list[str]:
    took = [f"in {seconds_in_words(lineage.seconds)}"] if lineage.seconds is not None else []
    return [f"pipeline {lineage.pipeline}", " ".join([lineage.status, *took]), f"stack {lineage.stack}"]


def _status(step: LineageStep) -> str:
    took = f" · {seconds_in_words(step.took)}" if step.took is not None else ""
    children = f" · {sum(step.children.values())} children" if step.children else ""
    return f"{MARKS.get(step.status, '·')} {step.status}{took}{children}"


def _told(lineage: Lineage, step: LineageStep) -> str:
    lines = [step.name, *_parameters(step), *(f"{name}: {value:.6g}" for name, value in step.metrics.items())]
    lines += [f"takes {lineage.artifacts[key].full_label}" for key in step.takes if key[0] == OUTSIDE]
    return "\n".join([*lines, *(text for text in (step.error, step.why) if text)])


def _about(artifact: LineageArtifact) -> str:
    size = bytes_in_words(artifact.size) if artifact.size is not None else None
    return "\n".join(part for part in (artifact.full_label, artifact.type, size, artifact.digest) if part)


def _parameters(step: LineageStep) -> list[str]:
    return [f"{name} = {_cut(str(value), 200)}" for name, value in step.parameters.items()]


def _row(lineage: Lineage, step: LineageStep) -> str:
    given = [*_parameters(step), *(lineage.artifacts[key].full_label for key in step.takes)]
    gave = [_about(lineage.artifacts[key]).replace("\n", " · ") for key in step.gives]
    metrics = [f"{name} = {value:.6g}" for name, value in step.metrics.items()]
    state = " · ".join(text for text in (step.status, step.why, step.error) if text)
    took = seconds_in_words(step.took) if step.took is not None else ""
    return f"<tr>{''.join(_cell(text) for text in (step.name, state, took, given, gave, metrics))}</tr>"


def _cell(content: Any) -> str:
    lines = [content] if isinstance(content, str) else content
    return f"<td>{'<br>'.join(escape(line) for line in lines)}</td>"


def _cut(text: str, longest: int = _LONGEST) -> str:
    text = "".join(char if char.isprintable() else "�" for char in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _text_width(text: str, *, bold: bool = False) -> float:
    """About how wide it is drawn: nobody can measure a font that the reader chooses."""
    wide = sum(
        1.6 if ord(char) > 0x2E80 else 1.2 if char in "mwMW@" else 0.55 if char in "iljtf.,:'|! " else 1.0 for char in text
    )
    return wide * (7.8 if bold else 6.7)
