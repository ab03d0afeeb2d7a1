"""The threads that run steps side by side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class StepThreads:
    """Started when first needed, at most `slots`. They are daemons: a step that cannot be stopped keeps no program from ending."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = 0

    def submit(self, call: Callable[[], None], running: int) -> None:
        """Make the call, which raises nothing, in a thread; `running` other calls have not ended yet."""
        if running >= self._started < self._slots:
            self._started += 1
            threading.Thread(target=self._serve, name=f"dovetail-step-{self._started}", daemon=True).start()
        self._work.put(call)

    def _serve(self) -> None:
        while (call := self._work.get()) is not None:
            call()
            del call

    def close(self) -> None:
        """Let each thread end as soon as it is free."""
        for _ in range(self._started):
            self._work.put(None)
