"""The published table: Markdown and HTML of what came of every case on every backend, and the README's short form of it."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from matrix.accounts import Verdict
from matrix.backends import BACKENDS, ORCHESTRATORS, REFERENCE, ROOT, STORES, Backend
from matrix.cases import CASES, Case

PUBLISHED = ROOT / "core" / "docs" / "portability.md"
PAGE = PUBLISHED.with_suffix(".html")
README = ROOT / "README.md"
TEMPLATE = Path(__file__).with_name("page.html")
_BEGINS, _ENDS = "<!-- portability: written by `nox -s portability` -->\n", "<!-- /portability -->"
_SIGNS = {Verdict.SAME: "✓", Verdict.BEYOND: "beyond", Verdict.REFUSED: "refused", Verdict.DIFFERENT: "different"}
_CHAPTERS = {
    "graphs": "Graphs", "failures": "Failures", "caching": "Cache", "values": "Values", "records": "Records", "settings": "Settings",
}  # fmt: skip

_UNTRIED = "·"
_IN_SHORT = {_UNTRIED: "not tried"}
Cell = tuple[str, str]  # the titles of a case and of a backend


@dataclass
class Table:
    """`cells`: what stands in them, such as `✓` or `refused: …`."""

    cells: dict[Cell, str] = field(default_factory=dict)

    @classmethod
    def published(cls) -> Table:
        """That of the docs, read back; empty where there is none yet."""
        if not PUBLISHED.exists():
            return cls()
        rows = [line.strip("|").split(" | ") for line in PUBLISHED.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
        backends = [name.strip() for name in rows[0][1:]]
        cells = {}
        for title, *found in rows[2:]:
            cells.update({(title.strip(), name): sign.strip() for name, sign in zip(backends, found, strict=True) if sign.strip() != _UNTRIED})
        return cls(cells)

    @classmethod
    def kept(cls, file: Path) -> Table:
        """What was found so far, by runs of some of the backends."""
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        return cls({(case, backend): said for case, backend, said in found})

    def keep(self, file: Path) -> None:
        file.write_text(json.dumps([[*cell, said] for cell, said in self.cells.items()], ensure_ascii=False, indent=0), encoding="utf-8")

    def updated(self, newer: Table) -> Table:
        """With the newer one's cells, and without those of cases and backends that are no more."""
        known = {(case.title, backend.title) for case in CASES for backend in BACKENDS}
        return Table({cell: said for cell, said in {**self.cells, **newer.cells}.items() if cell in known})

    def put(self, case: Case, backend: Backend, verdict: Verdict, why: Sequence[str]) -> None:
        self.cells[case.title, backend.title] = said(verdict, why)

    def missing(self) -> list[Cell]:
        return [(case.title, backend.title) for case in CASES for backend in BACKENDS if (case.title, backend.title) not in self.cells]

    def shown(self, case: Case, backend: Backend) -> str:
        return self.cells.get((case.title, backend.title), _UNTRIED)

    def write(self) -> None:
        """Into docs and README."""
        PUBLISHED.write_text(self.markdown(), encoding="utf-8")
        PAGE.write_text(self.page(), encoding="utf-8")
        before, _, rest = README.read_text(encoding="utf-8").partition(_BEGINS)
        README.write_text(f"{before}{self.section()}{rest.partition(_ENDS)[2]}", encoding="utf-8")

    # -- Markdown ------------------------------------------------------------------------------------------------------

    def markdown(self) -> str:
        lines = [
            "# Portability",
            "",
            f"{len(CASES)} pipelines, run on every orchestrator with every artifact store. Compared with the reference, {REFERENCE.title}, are the",
            "status of run and steps, lineage, artifacts by digest (by value where a materializer says that its bytes are not certain), cache",
            "keys and hits, readings, parameters, metrics, metadata, versions, models, attempts, errors, settings and logs.",
            "",
            *_legend(),
            "",
            f"Tried on: {'; '.join(_tried_on())}.",
            "",
            f"`nox -s portability` runs all of it and writes this page, [the same in colour]({PAGE.name}) and the README's short form. The test command",
            "runs every case on the local orchestrators with a local folder, and a slice of the rest. A further case is a function in",
            "`tests/portability/matrix/cases`, a further backend a declaration in `tests/portability/matrix/backends.py`.",
        ]
        return "\n".join([*lines, "", *self._rows(CASES), ""])

    def _rows(self, cases: Sequence[Case]) -> Iterator[str]:
        titles = [backend.title for backend in BACKENDS]
        yield f"| case | {' | '.join(titles)} |"
        yield f"|---|{'---|' * len(titles)}"
        for case in cases:
            yield f"| {case.title} | {' | '.join(self.shown(case, backend) for backend in BACKENDS)} |"

    def section(self) -> str:
        """The README's part: a line for each backend, a column for each chapter."""
        chapters = _chapters()
        lines = [f"| {len(CASES)} pipelines | {' | '.join(f'{chapter} ({len(cases)})' for chapter, cases in chapters)} |", f"|---|{'---|' * len(chapters)}"]
        for backend in BACKENDS:
            lines.append(f"| {backend.title} | {' | '.join(self._summed(cases, backend) for _, cases in chapters)} |")
        return _BEGINS + "\n".join(lines) + f"\n{_ENDS}"

    def _summed(self, cases: Sequence[Case], backend: Backend) -> str:
        counts = Counter(self.shown(case, backend).partition(":")[0] for case in cases)
        shown = [f"{counts[sign]} {_IN_SHORT.get(sign, sign)}" for sign in ("✓", "beyond", "refused", "different", _UNTRIED) if counts[sign]]
        return ", ".join(shown)

    # -- HTML ----------------------------------------------------------------------------------------------------------

    def page(self) -> str:
        counts = Counter(cell.partition(":")[0] for cell in self.cells.values())
        refusals = sorted({cell for cell in self.cells.values() if cell.startswith("refused")})
        parts = {
            "cases": str(len(CASES)),
            "backends": str(len(BACKENDS)),
            "same": str(counts["✓"]),
            "refused": str(counts["refused"]),
            "beyond": str(counts["beyond"]),
            "different": str(counts["different"]),
            "reference": html.escape(REFERENCE.title),
            "tried_on": html.escape("; ".join(_tried_on())),
            "head": "".join(self._head()),
            "body": "".join(self._body(refusals)),
            "notes": "".join(f"<li>{_coded(note.partition(': ')[2])}</li>" for note in refusals),
        }
        return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], TEMPLATE.read_text(encoding="utf-8"))

    def _head(self) -> Iterator[str]:
        yield '<tr><th rowspan="2" scope="col">Pipeline</th>'
        for store in STORES:
            count = sum(backend.store == store for backend in BACKENDS)
            yield f'<th colspan="{count}" scope="colgroup" class="store">{html.escape(store.title)}</th>'
        yield "</tr><tr>"
        for backend in BACKENDS:
            mark = "<small>reference</small>" if backend == REFERENCE else ""
            yield f'<th scope="col">{html.escape(backend.orchestrator.title)}{mark}</th>'
        yield "</tr>"

    def _body(self, refusals: Sequence[str]) -> Iterator[str]:
        for chapter, cases in _chapters():
            yield f'<tr class="chapter"><th colspan="{len(BACKENDS) + 1}" scope="rowgroup">{html.escape(chapter)}</th></tr>'
            for case in cases:
                yield f'<tr><th scope="row">{_coded(case.title)}</th>'
                for backend in BACKENDS:
                    yield self._cell(self.shown(case, backend), refusals)
                yield "</tr>"

    def _cell(self, cell: str, refusals: Sequence[str]) -> str:
        sign, _, why = cell.partition(": ")
        if sign == "✓":
            return '<td class="same"><span title="the same as on the reference">✓</span></td>'
        if sign == "refused":
            return f'<td class="refused"><span title="{html.escape(why, quote=True)}">refused<sup>{refusals.index(cell) + 1}</sup></span></td>'
        if sign == _UNTRIED:
            return f'<td><span title="not tried">{_UNTRIED}</span></td>'
        return f'<td class="{html.escape(sign)}"><span>{html.escape(sign)}</span></td>'


def said(verdict: Verdict, why: Sequence[str]) -> str:
    """What stands in a cell."""
    return f"{_SIGNS[verdict]}: {'; '.join(dict.fromkeys(why))}" if verdict is Verdict.REFUSED else _SIGNS[verdict]


def _chapters() -> list[tuple[str, list[Case]]]:
    return [(_CHAPTERS.get(chapter, chapter.capitalize()), list(cases)) for chapter, cases in groupby(CASES, lambda case: case.chapter)]


def _tried_on() -> list[str]:
    return [f"{axis.title} on {axis.tried_on}" for axis in (*ORCHESTRATORS, *STORES) if axis.tried_on != "this machine"]


def _legend() -> list[str]:
    return [
        "- ✓: the same as on the reference",
        "- refused: the checks before the run refuse the pipeline, naming the component, what it cannot honour, and the way out",
        "- beyond: the reference refuses it, and this backend passes the setting on to its engine, which honours it or says that it cannot",
        f"- {_UNTRIED}: not tried since the backend or the case was added",
    ]


def _coded(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
