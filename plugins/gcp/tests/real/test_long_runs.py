"""A run of two minutes whose tokens are taken for thirty seconds each. `nox -s real-gcp` asks for it."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

if "DOVETAIL_REAL" not in os.environ:
    pytest.skip("takes two minutes, which DOVETAIL_REAL=1 allows", allow_module_level=True)

from dovetail.components import Secret
from dovetail.ledger.verifying import verify
from dovetail.values.plan import Status
from storage_front import Front, Request, said
from token_service import account_key, token_service


def test_a_run_outlives_its_tokens(project: Any, watched: Front, make_store: Any) -> None:
    with token_service() as tokens:
        tokens.life = 30.0
        trial = project.on(make_store(endpoint_url=watched.url, key=Secret(account_key(tokens))))
        began, refusal = time.monotonic(), said(401, "authError", "Invalid Credentials")

        def only_fresh(request: Request) -> Any:
            return None if tokens.is_fresh(request.headers.get("authorization", "")) else refusal

        with watched.faulty(only_fresh):
            run = trial.run(project.steps.patient)
            found = verify(trial.client.ledger)
        assert run.status is Status.COMPLETED, run.error
        assert time.monotonic() - began > 120
        assert len(tokens.issued) >= 4
        assert not watched.made, "a token was shown that was too old"
        assert found.is_sound, found.findings
