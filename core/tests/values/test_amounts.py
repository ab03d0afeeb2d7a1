"""Durations, sizes and moments as a person reads them."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest

from dovetail.values.amounts import bytes_in_words, moment_in_words, seconds_in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-0.001, "0 ms"), (0, "0 ms"), (0.0124, "12 ms"), (3.44, "3.4 s"), (59.4, "59.4 s"), (310, "5 min 10 s"), (7500, "2 h 5 min")],
)
def test_a_duration_is_told_in_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert seconds_in_words(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (3_120_000, "3.1 MB"), (31_200_000, "31 MB"), (4 * 10**18, "4000 PB")],
)
def test_a_size_is_told_in_the_unit_that_suits_it(size: int, words: str) -> None:
    assert bytes_in_words(size) == words


def test_a_moment_is_told_by_this_machines_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        moment = datetime(2026, 3, 1, 20, 5, 9, tzinfo=timezone.utc)
        assert moment_in_words(moment) == "2026-03-02 05:05"
        assert moment_in_words(moment.timestamp(), seconds=True) == "2026-03-02 05:05:09"
        assert moment_in_words(None) == "-"
    finally:
        monkeypatch.undo()
        time.tzset()
