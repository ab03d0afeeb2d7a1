"""A store that takes no record, or is not there for a while: it is said, without repeating it, and no schedule is taken for ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dovetail import Schedule
from dovetail.cli.scheduler import _once
from dovetail.errors import StoreError
from dovetail.ledger.ticks import Ticks


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def claim(self: Ticks, due: float, record: Any, **_: Any) -> bool:
        raise PermissionError(1, "cannot write there")

    monkeypatch.setattr(Ticks, "claim", claim)


def test_once_fails_where_the_store_takes_no_claim(scheduled: Any, read_only: None) -> None:
    place = scheduled(Schedule(cron="* * * * *"), "2026-03-01 00:30")
    place.clock.now = place.at("2026-03-01 00:31")
    assert _once(place.scheduler(), []) == 1


def test_what_was_missed_is_said_once_though_the_store_takes_no_claim(scheduled: Any, read_only: None) -> None:
    place = scheduled(Schedule(cron="* * * * *"), "2026-03-01 00:30")
    scheduler = place.scheduler()
    for second in ("00", "10", "20"):
        place.looks(scheduler, f"2026-03-01 00:35:{second}")
    assert len(place.said) == 1
    assert "cannot write there" in place.said[0]


def test_a_store_that_is_gone_has_not_ended_its_schedules(scheduled: Any, store_root: Path) -> None:
    place = scheduled(Schedule(cron="* * * * *", overlap="allow"), "2026-03-01 00:30")
    scheduler = place.scheduler()
    place.looks(scheduler, "2026-03-01 00:31")
    away = store_root.rename(store_root.with_name("away"))
    with pytest.raises(StoreError, match="is not there any more"):
        place.looks(scheduler, "2026-03-01 00:32")
    away.rename(store_root)
    place.looks(scheduler, "2026-03-01 00:33")
    assert place.ran() == ["03-01 00:31", "03-01 00:32", "03-01 00:33"]
