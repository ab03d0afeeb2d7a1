"""Workers elsewhere reach the bucket, and nothing of what lets them is written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dovetail.components import Secret
from dovetail.local.step_operator import LocalStepOperator
from front import Front

KEY, SECRET = "AKIAPLANTED00000002", "planted/secret+9876543210fedcba"


@pytest.mark.parametrize("told", ["by the surroundings", "by fields"])
def test_a_worker_elsewhere_has_the_submitters_credentials(
    project: Any, make_store: Callable[..., Any], watched: Front, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    fields: dict[str, Any] = {"key": Secret(KEY), "secret": Secret(SECRET)}
    if told == "by the surroundings":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        fields = {"key": None, "secret": None}
    store = make_store(endpoint_url=watched.url, region="eu-central-1", **fields)
    run = project.on(store, LocalStepOperator()).run(project.steps.sent_away, size=4)
    assert run.status == "completed", run.error
    assert run.steps["elsewhere"].output.load() == 6
    assert all(KEY in request.headers["authorization"] for request in watched.requests)
    for path, _ in store.walk(""):
        assert SECRET.encode() not in store.read(path), path
