"""Warm worker processes on this machine: spawned when first needed, used again for later steps, never forked."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dovetail.execution.worker_process import WorkerProcess
from dovetail.worker import for_children


class WorkerPool:
    """Idle workers are kept for the next step with the same environment."""

    def __init__(self) -> None:
        self._idle: list[tuple[dict[str, str], WorkerProcess]] = []
        self._busy: set[WorkerProcess] = set()
        self._lock = threading.Lock()

    def run(self, task: Mapping[str, Any], timeout: float | None, stop: Callable[[], bool], variables: Mapping[str, str]) -> dict[str, Any]:
        worker = self._take(dict(variables))
        try:
            answer = worker.run(task, timeout, stop)
        except BaseException:
            worker.close()
            raise
        finally:
            with self._lock:
                self._busy.discard(worker)
        with self._lock:
            self._idle.append((dict(variables), worker))
        return answer

    def _take(self, variables: dict[str, str]) -> WorkerProcess:
        with self._lock:
            found = next((number for number, (environment, worker) in enumerate(self._idle) if environment == variables and worker.alive), None)
            worker = self._idle.pop(found)[1] if found is not None else None
        if worker is None:
            worker = self._start(variables)
        with self._lock:
            self._busy.add(worker)
        return worker

    def _start(self, variables: dict[str, str]) -> WorkerProcess:
        from dovetail.execution.worker_process import WorkerProcess

        return WorkerProcess(for_children({**os.environ, **variables}))

    def close(self) -> None:
        """Let idle workers go, and end those whose steps were left behind."""
        with self._lock:
            idle, self._idle = self._idle, []
            left = list(self._busy)
        for worker in left:
            worker.kill()
        for _, worker in idle:
            worker.close()
