"""Credentials come from the fields or from the surroundings, are renewed before they expire, and are written nowhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from azure_front import Fault, Front, Request, said
from azurite import ACCOUNT, KEY, Azurite, signature
from dovetail.components import Secret
from dovetail.components.transfers import Denied, ObjectStoreError
from dovetail.values.plan import Status
from identity_service import IdentityService, identity_service

LIFE = 2.0


@pytest.fixture
def identity() -> Iterator[IdentityService]:
    with identity_service() as service:
        yield service


def taking_tokens(watched: Front) -> None:
    """azurite takes tokens over https alone, so that one is exchanged on the way for what it takes."""

    def onward(path: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        kept = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        return f"{path}{'&' if '?' in path else '?'}{signature()}", kept

    watched.onward = onward


def only_fresh(identity: IdentityService) -> Callable[[Request], Fault | None]:
    """As the service does: a token that is too old, or none, is refused."""
    refusal = said(401, "InvalidAuthenticationInfo", "Lifetime validation failed. The token is expired.")
    return lambda request: None if identity.is_fresh(request.headers.get("authorization", "")) else refusal


def test_tokens_are_renewed_while_runs_go_on(
    project: Any, watched: Front, make_store: Any, identity: IdentityService, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.life = LIFE
    identity.use(monkeypatch)
    taking_tokens(watched)
    trial = project.on(make_store(endpoint_url=watched.url, account_key=None))
    with watched.faulty(only_fresh(identity)):
        for size in range(3):
            assert trial.run(project.steps.diamond, size=size + 2).status is Status.COMPLETED
            time.sleep(LIFE + 0.2)
        assert trial.run(project.steps.diamond, size=9).status is Status.COMPLETED
    assert len(identity.issued) >= 4
    assert identity.resources == {"https://storage.azure.com"}
    assert not watched.made, "a token was shown that was too old"


@pytest.mark.parametrize(
    "fields",
    [
        {"account_key": Secret(KEY)},
        {"sas": Secret(signature())},
        {"sas": Secret(f"?{signature()}")},
        {"connection_string": Secret(f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};EndpointSuffix=core.windows.net")},
        {"connection_string": Secret(f"BlobEndpoint=http://127.0.0.1:1/{ACCOUNT};SharedAccessSignature={signature()}")},
    ],
    ids=["key", "signature", "signature with a mark", "connection string", "connection string with a signature"],
)
def test_each_way_to_say_who_asks_is_taken(watched: Front, make_store: Any, fields: dict[str, Secret]) -> None:
    store = make_store(**{"endpoint_url": watched.url, "account_key": None, **fields})
    assert store.create("größe/a b+c~d", b"x") is True
    assert [entry.name for entry in store.scan("größe")] == ["a b+c~d"]
    (secret,) = fields.values()
    assert secret.reveal() not in repr(store)


def test_a_connection_string_says_where_the_service_is(blobs: Azurite, make_store: Any) -> None:
    text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={blobs.url};"
    store = make_store(account=None, account_key=None, endpoint_url=None, connection_string=Secret(text))
    assert store.create("a", b"x") is True
    assert store.check() == []


def test_a_secret_is_written_nowhere(project: Any, watched: Front, make_store: Any) -> None:
    store = make_store(endpoint_url=watched.url)
    assert project.on(store).run(project.steps.two_steps).status is Status.COMPLETED
    kept = {path: store.read(path) for path, _ in store.walk("")}
    kept.update({str(file): file.read_bytes() for file in project.folder.parent.rglob("*") if file.is_file()})
    assert len(kept) > 10
    assert not [path for path, content in kept.items() if KEY.encode() in content]


def test_no_credentials_at_all_are_told_with_the_command_that_cures_it(make_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = IdentityService(port=1)
    identity.use(monkeypatch)  # else another machine's might answer
    began = time.monotonic()
    (problem,) = make_store(account_key=None).check()
    assert time.monotonic() - began < 10
    assert "az login" in problem


def test_a_refused_token_is_asked_for_anew_by_the_next_request(
    watched: Front, make_store: Any, identity: IdentityService, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.use(monkeypatch)
    taking_tokens(watched)
    store = make_store(endpoint_url=watched.url, account_key=None)
    with watched.faulty(lambda _: said(401, "InvalidAuthenticationInfo")), pytest.raises(Denied, match="az login"):
        store.read("a")
    assert store.create("a", b"x") is True


def test_no_token_goes_over_the_network_for_all_to_read(make_store: Any) -> None:
    store = make_store(endpoint_url="http://storage.example:10000/account", account_key=None)
    with pytest.raises(ObjectStoreError, match="https://"):
        store.read("a")


def test_a_signature_stands_in_no_error(make_store: Any) -> None:
    store = make_store(endpoint_url="http://127.0.0.1:1", account_key=None, sas=Secret(signature()), attempts=1)
    with pytest.raises(ConnectionError) as raised:
        store.read("a")
    assert "sig=********" in str(raised.value)
    assert signature().rpartition("sig=")[2] not in str(raised.value)


@pytest.mark.parametrize("way", ["key", "connection string", "signature"])
def test_the_variables_of_the_az_command_are_heard(make_store: Any, blobs: Any, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    said = {
        "key": ("AZURE_STORAGE_KEY", KEY),
        "connection string": ("AZURE_STORAGE_CONNECTION_STRING", f"AccountName={ACCOUNT};AccountKey={KEY}"),
        "signature": ("AZURE_STORAGE_SAS_TOKEN", signature()),
    }
    monkeypatch.setenv(*said[way])
    assert make_store(account_key=None).check() == []


def test_the_variables_of_another_account_are_not(make_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "another")
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    assert make_store(account_key=None)._signer is None
