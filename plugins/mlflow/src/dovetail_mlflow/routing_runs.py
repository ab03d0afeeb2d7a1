"""The stack of active runs, one per step in place of one per thread: no run of the caller is active in a step, and none is left active."""

from __future__ import annotations

from typing import Any

from dovetail_mlflow.routing_step import routed


def by_step(fluent: Any) -> None:
    own = fluent._active_run_stack
    fluent._active_run_stack = _List(own) if isinstance(own, list) else _PerThread(own)


class _PerThread:
    """As MLflow keeps it since 2.18."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def get(self) -> Any:
        step = routed()
        return self._own.get() if step is None else step.active

    def set(self, value: Any) -> None:
        step = routed()
        if step is None:
            self._own.set(value)
        else:
            step.active[:] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


class _List(list[Any]):
    """As earlier versions keep it: one list, used by its methods and its length."""

    def __init__(self, own: list[Any]) -> None:
        super().__init__()
        self._own = own

    def _now(self) -> list[Any]:
        step = routed()
        return self._own if step is None else step.active

    def __len__(self) -> int:
        return len(self._now())

    def __bool__(self) -> bool:
        return bool(self._now())

    def __iter__(self) -> Any:
        return iter(self._now())

    def __getitem__(self, place: Any) -> Any:
        return self._now()[place]

    def __setitem__(self, place: Any, value: Any) -> None:
        self._now()[place] = value

    def __delitem__(self, place: Any) -> None:
        del self._now()[place]

    def append(self, run: Any) -> None:
        self._now().append(run)

    def pop(self, place: Any = -1) -> Any:
        return self._now().pop(place)

    def remove(self, run: Any) -> None:
        self._now().remove(run)

    def clear(self) -> None:
        self._now().clear()
