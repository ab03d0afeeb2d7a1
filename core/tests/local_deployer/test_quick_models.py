"""A quick model is asked where the request was read, a slow one in threads, and either may be the other a moment later."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from dovetail.local.serving import Serving
from dovetail.local.serving_endpoint import _QUICK_CALLS, Endpoint


class Model:
    def __init__(self) -> None:
        self.seconds, self.threads = 0.0, []

    def predict(self, rows: list[Any]) -> list[Any]:
        self.threads.append(threading.current_thread() is threading.main_thread())
        time.sleep(self.seconds)
        return rows


class Looping(Model):
    def predict(self, rows: list[Any]) -> list[Any]:
        async def later() -> list[Any]:
            await asyncio.sleep(0)
            return rows

        return asyncio.run(later())


def endpoint(model: Any) -> Endpoint:
    return Endpoint(Serving("id", "name", "url", "", "", "", trusted=True, require_token=False, timeout=60.0, grace=1.0, max_request_bytes=1 << 20), "", model)


async def ask(served: Endpoint, path: str = "/predict") -> dict[str, Any]:
    sent: list[Any] = []
    body = json.dumps({"instances": [[1, 2]]}).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await served({"method": "POST" if path == "/predict" else "GET", "path": path, "headers": []}, receive, send)
    assert sent[0]["status"] == 200, sent
    answer: dict[str, Any] = json.loads(sent[1]["body"])
    return answer


def test_a_model_is_taken_for_quick_after_quick_answers_and_until_a_slow_one() -> None:
    model = Model()
    served = endpoint(model)

    async def all_of_it() -> None:
        for _ in range(_QUICK_CALLS + 5):
            assert (await ask(served))["predictions"] == [[1, 2]]
        assert model.threads[:_QUICK_CALLS] == [False] * _QUICK_CALLS
        assert model.threads[-1] is True
        model.seconds = 0.05
        await ask(served)
        await ask(served)
        assert model.threads[-2:] == [True, False]

    asyncio.run(all_of_it())


def test_health_answers_while_a_slow_model_works() -> None:
    model = Model()
    model.seconds = 0.5
    served = endpoint(model)

    async def both() -> float:
        slow = asyncio.create_task(ask(served))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await ask(served, "/health")
        waited = time.monotonic() - began
        await slow
        return waited

    assert asyncio.run(both()) < 0.3


def test_a_quick_model_may_run_a_loop_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dovetail.local.serving_endpoint._QUICK", 5.0)
    served = endpoint(Looping())

    async def all_of_it() -> None:
        for _ in range(_QUICK_CALLS + 3):
            assert (await ask(served))["predictions"] == [[1, 2]]
        assert served._in_a_row > _QUICK_CALLS
        assert asyncio.get_running_loop() is not None

    asyncio.run(all_of_it())
