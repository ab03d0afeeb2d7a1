"""What strangers ask cannot fill the disk with lines of a log."""

from __future__ import annotations

import pytest

from dovetail.local import serving_endpoint
from dovetail.local.serving_endpoint import Refusals


def test_refused_requests_are_told_some_in_each_minute_and_then_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = [1000.0], []
    monkeypatch.setattr(serving_endpoint, "say", lines.append)
    monkeypatch.setattr(serving_endpoint.time, "monotonic", lambda: now[0])
    refusals = Refusals()
    for _ in range(5000):
        refusals.tell("POST '/predict': 401")
    assert len(lines) == 100
    now[0] += 61
    refusals.tell("the next")
    assert lines[100:] == ["4900 more requests were refused within a minute", "the next"]
