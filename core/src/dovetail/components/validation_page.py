"""The findings of a validation as a page, for validators that draw none themselves."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from dovetail.values.validation import Finding, Verdict

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1d2330}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #d9dde5;overflow-wrap:break-word}
.verdict{white-space:nowrap}td:last-child{overflow-wrap:anywhere}
td.number{font-variant-numeric:tabular-nums;text-align:right}th.number{text-align:right}
.pass{background:#dff3e4}.warn{background:#fdf0cd}.fail{background:#fbdcdc}.verdict{padding:.1rem .5rem;border-radius:.3rem}
"""
_HEADINGS = ("check", "metric", "column", "value", "wanted", "verdict", "detail")


def validation_page(verdict: Verdict, findings: Sequence[Finding], validator: str, rows: Mapping[str, int]) -> str:
    """A whole page, which refers to nothing outside itself."""
    counted = ", ".join(f"{count:,} rows of {name}" for name, count in rows.items())
    headings = "".join(f"<th{_number(name)}>{name}</th>" for name in _HEADINGS)
    lines = "\n".join(_line(finding) for finding in findings)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Validation: {verdict.value}</title><style>{_STYLE}</style></head><body>
<h1>Validation: {_shown(verdict)}</h1><p>{html.escape(validator)}: {html.escape(counted)}</p>
<table><thead><tr>{headings}</tr></thead><tbody>
{lines}
</tbody></table></body></html>
"""


def _line(finding: Finding) -> str:
    value = "not measured" if finding.value is None else f"{finding.value:.6g}"
    texts = [finding.check, finding.metric, finding.column or "", value, finding.requirement, "", finding.detail]
    cells = [f"<td{_number(name)}>{html.escape(text)}</td>" for name, text in zip(_HEADINGS, texts, strict=True)]
    cells[_HEADINGS.index("verdict")] = f"<td>{_shown(finding.verdict)}</td>"
    return f"<tr>{''.join(cells)}</tr>"


def _shown(verdict: Verdict) -> str:
    return f'<span class="verdict {verdict.value}">{verdict.value}</span>'


def _number(heading: str) -> str:
    return ' class="number"' if heading == "value" else ""
