"""Deepchecks' own report of results as one page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_SCRIPT = re.compile(r"<script\b[^>]*>.*?</script>", re.DOTALL)
_LARGE = 100_000  # characters; only plotting libraries are as long


def page(results: Sequence[Any]) -> str:
    """Empty where there are no results. Each plot comes with the whole of Plotly; the first is enough for all."""
    if not results:
        return ""
    from deepchecks.core.serialization.suite_result.html import SuiteResultSerializer
    from deepchecks.core.suite import SuiteResult

    serializer = SuiteResultSerializer(SuiteResult("Deepchecks", list(results)))
    body = serializer.serialize(full_html=False, include_requirejs=False, include_plotlyjs=False, output_id="deepchecks")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Deepchecks</title></head>'
        f'<body style="background:white;padding:1rem">{_once(body)}</body></html>\n'
    )


def _once(body: str) -> str:
    seen: set[str] = set()

    def kept(found: re.Match[str]) -> str:
        script = found[0]
        if len(script) < _LARGE:
            return script
        if script in seen:
            return ""
        seen.add(script)
        return script

    return _SCRIPT.sub(kept, body)
