"""Asking steps that run in this process to end."""

from __future__ import annotations

import signal
import threading

from dovetail.errors import RunCancelled
from dovetail.execution.scope import running


def stop_steps(run_id: str, spare: int = 0) -> None:
    """Raise in the threads that run steps: at once in the main thread, which a signal wakes, elsewhere when Python code goes on."""
    import ctypes

    for scope in running(run_id):
        if scope.thread == threading.main_thread().ident != spare and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.pthread_kill(scope.thread, signal.SIGINT)
        elif scope.thread != spare:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(scope.thread), ctypes.py_object(RunCancelled))
