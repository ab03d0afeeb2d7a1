"""One thread per process that renews leases, keeps logs flowing and hears of cancellations, for all runs of the process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dovetail.execution.scope import apart
from dovetail.ledger import layout
from dovetail.ledger.runs import RunRecords

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

_TICK = 1.0  # seconds
_log = logging.getLogger("dovetail")
_lock = threading.Condition()
_beating: list[Pulse] = []
_thread: threading.Thread | None = None


class Pulse:
    """Registered while a run, or in a worker a step run, goes on. `cancelled` is set once the run is asked to stop."""

    def __init__(
        self, records: RunRecords, *, flush: Callable[[], None], on_cancel: Callable[[], None], beat: Callable[[], None] | None
    ) -> None:
        """`beat` renews the lease; None where another process holds it. `flush` is called every second."""
        self._records = records
        self._flush = flush
        self._on_cancel = on_cancel
        self._beat = beat
        self._local = records.records.store.local_folder("") is not None
        self._last_beat = self._last_look = time.monotonic()
        self.cancelled = threading.Event()

    def __enter__(self) -> Self:
        global _thread  # noqa: PLW0603  # one thread serves the process
        with _lock:
            _beating.append(self)
            if _thread is None or not _thread.is_alive():
                _thread = threading.Thread(target=_beat_all, name="dovetail-pulse", daemon=True)
                _thread.start()
            _lock.notify()
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            _beating.remove(self)

    def tick(self) -> None:
        """What one part of it meets keeps no other from being done."""
        for part in (self._flush, self._renew, self._look):
            try:
                part()
            except Exception as error:  # a store that is away for a while; the next tick tries again
                _log.warning("The lease of a run could not be renewed, or its log not be stored: %s", error)

    def _renew(self) -> None:
        now = time.monotonic()
        if self._beat is not None and now - self._last_beat >= layout.HEARTBEAT:
            self._beat()
            self._last_beat = now

    def _look(self) -> None:
        now = time.monotonic()
        if self.cancelled.is_set() or (not self._local and now - self._last_look < layout.HEARTBEAT):
            return
        if self._records.cancelled():
            self.cancelled.set()
            self._on_cancel()
        self._last_look = now


def _beat_all() -> None:
    with apart():
        _beat_forever()


def _beat_forever() -> None:
    while True:
        with _lock:
            while not _beating:
                _lock.wait()
        time.sleep(_TICK)
        with _lock:
            beating = list(_beating)
        for pulse in beating:
            pulse.tick()
