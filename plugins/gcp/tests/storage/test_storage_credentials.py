"""Credentials come from the field or from the surroundings, are renewed before they expire, and are written nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Secret
from dovetail.values.plan import Status
from dovetail_gcp.errors import GoogleError
from storage_front import Fault, Front, Request, said
from token_service import TokenService, account_key, token_service

LIFE = 2.0


@pytest.fixture
def tokens() -> Iterator[TokenService]:
    with token_service() as service:
        yield service


def only_fresh(tokens: TokenService) -> Callable[[Request], Fault | None]:
    """As the service does: a token that is too old, or none, is refused."""
    refusal = said(401, "authError", "Invalid Credentials")
    return lambda request: None if tokens.is_fresh(request.headers.get("authorization", "")) else refusal


def test_tokens_are_renewed_while_runs_go_on(project: Any, watched: Front, make_store: Any, tokens: TokenService) -> None:
    tokens.life = LIFE
    store = make_store(endpoint_url=watched.url, key=Secret(account_key(tokens)))
    trial = project.on(store)
    with watched.faulty(only_fresh(tokens)):
        for size in range(3):
            assert trial.run(project.steps.diamond, size=size + 2).status is Status.COMPLETED
            time.sleep(LIFE + 0.3)
        assert trial.run(project.steps.diamond, size=9).status is Status.COMPLETED
    assert len(tokens.issued) >= 4
    shown = {request.headers["authorization"] for request in watched.requests}
    assert shown <= {f"Bearer {token}" for token in tokens.issued}
    assert not watched.made, "a token was shown that was too old"


def test_a_key_is_written_nowhere(project: Any, watched: Front, make_store: Any, tokens: TokenService) -> None:
    key = account_key(tokens)
    store = make_store(endpoint_url=watched.url, key=Secret(key))
    assert project.on(store).run(project.steps.two_steps).status is Status.COMPLETED
    planted = [json.loads(key)["private_key"].splitlines()[1].encode(), *(token.encode() for token in tokens.issued)]
    plain = make_store()
    kept = {path: plain.read(path) for path, _ in plain.walk("")}
    kept.update({str(file): file.read_bytes() for file in project.folder.parent.rglob("*") if file.is_file()})
    assert len(kept) > 10
    assert not [path for path, content in kept.items() for secret in planted if secret in content]
    assert key not in repr(store)


def test_the_default_chain_finds_the_file_that_a_variable_names(
    watched: Front, make_store: Any, tokens: TokenService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.json").write_text(account_key(tokens))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    store = make_store(endpoint_url=watched.url)
    store.stat("a")
    assert "authorization" not in watched.requests[0].headers, "over http:// nobody signs in by himself"
    elsewhere = make_store(endpoint_url=None)
    assert elsewhere.google_credentials().service_account_email == "trial@trial-project.iam.gserviceaccount.com"
    assert elsewhere.project_id() == "trial-project"


def test_no_credentials_at_all_are_told_with_the_command_that_cures_it(make_store: Any) -> None:
    (problem,) = make_store(endpoint_url=None).check()
    assert "gcloud auth application-default login" in problem


def test_a_revoked_key_is_told_with_the_command_that_cures_it(watched: Front, make_store: Any, tokens: TokenService) -> None:
    tokens.refuses = "invalid_grant"
    (problem,) = make_store(endpoint_url=watched.url, key=Secret(account_key(tokens))).check()
    assert "invalid_grant" in problem
    assert "gcloud auth application-default login" in problem
    assert watched.requests == []


@pytest.mark.parametrize("key", ["", "no json", "[]", "{}", '{"type": "service_account", "private_key": "secret-text", "client_email": "a", "token_uri": "b"}'])
def test_what_is_no_key_is_told_without_repeating_it(make_store: Any, key: str) -> None:
    (problem,) = make_store(key=Secret(key)).check()
    assert "gcloud iam service-accounts keys create FILE" in problem
    assert "secret-text" not in problem
    with pytest.raises(GoogleError):
        make_store(key=Secret(key)).session()


def test_who_is_impersonated_is_the_one_who_asks(
    watched: Front, make_store: Any, tokens: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth import iam

    monkeypatch.setattr(iam, "_IAM_ENDPOINT", f"{tokens.url}/v1/{{}}:generateAccessToken")
    store = make_store(endpoint_url=watched.url, key=Secret(account_key(tokens)), impersonate="other@trial.iam.gserviceaccount.com")
    store.stat("a")
    assert store.google_credentials().service_account_email == "other@trial.iam.gserviceaccount.com"
    assert len(tokens.issued) == 2, "one of its own, and with it one of the other's"
    assert watched.requests[0].headers["authorization"] == f"Bearer {tokens.issued[1]}"


def test_nobody_who_gives_tokens_is_found_by_the_check_within_its_deadline(watched: Front, make_store: Any) -> None:
    began = time.monotonic()
    (problem,) = make_store(endpoint_url=watched.url, key=Secret(account_key(TokenService(port=1)))).check()
    assert time.monotonic() - began < 10
    assert "127.0.0.1" in problem
