"""A run of two minutes whose tokens are taken for thirty seconds each. `nox -s real-azure` asks for it."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

if "DOVETAIL_REAL" not in os.environ:
    pytest.skip("takes two minutes, which DOVETAIL_REAL=1 allows", allow_module_level=True)

from azure_front import Front, Request, said
from azurite import signature
from dovetail.ledger.verifying import verify
from dovetail.values.plan import Status
from identity_service import identity_service


def test_a_run_outlives_its_tokens(project: Any, watched: Front, make_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def onward(path: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:  # azurite takes tokens over https alone
        kept = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        return f"{path}{'&' if '?' in path else '?'}{signature()}", kept

    watched.onward = onward
    with identity_service() as identity:
        identity.life = 30.0
        identity.use(monkeypatch)
        trial = project.on(make_store(endpoint_url=watched.url, account_key=None))
        began, refusal = time.monotonic(), said(401, "InvalidAuthenticationInfo", "The token is expired.")

        def only_fresh(request: Request) -> Any:
            return None if identity.is_fresh(request.headers.get("authorization", "")) else refusal

        with watched.faulty(only_fresh):
            run = trial.run(project.steps.patient)
            found = verify(trial.client.ledger)
        assert run.status is Status.COMPLETED, run.error
        assert time.monotonic() - began > 120
        assert len(identity.issued) >= 4
        assert not watched.made, "a token was shown that was too old"
        assert found.is_sound, found.findings
