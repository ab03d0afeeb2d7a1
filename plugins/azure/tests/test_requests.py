"""Each field of the store shows in the request that the service received, and each complaint of the service becomes a sentence with its cure."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from azure_front import Fault, Front, Request, said
from dovetail.components import Secret
from dovetail.components.transfers import Denied, ObjectStoreError, Taken, Unreachable
from dovetail.errors import ConfigurationError
from dovetail.stack.checks import DEADLINE
from dovetail_azure.artifact_store import AzureArtifactStore

SAID = [
    (403, "AuthorizationPermissionMismatch", Denied, 'az role assignment create --role "Storage Blob Data Contributor"'),
    (403, "AuthenticationFailed", Denied, "az storage account keys list --account-name devstoreaccount1"),
    (403, "KeyBasedAuthenticationNotPermitted", Denied, "az login"),
    (401, "NoAuthenticationInformation", Denied, "az login"),
    (401, "InvalidAuthenticationInfo", Denied, "az login"),
    (404, "ContainerNotFound", ObjectStoreError, "az storage container create --name trial --account-name devstoreaccount1"),
    (503, "IngressIsOverAccountLimit", Unreachable, "az support tickets create"),
    (503, "ServerBusy", Unreachable, "Try again later"),
    (500, "InternalError", Unreachable, "Try again later"),
    (409, "BlobImmutableDueToPolicy", ObjectStoreError, "Check the fields of the store"),
]


@pytest.mark.parametrize(("status", "code", "kind", "cure"), SAID, ids=[code for _, code, _, _ in SAID])
def test_what_the_service_says_is_told_with_its_cure(
    make_store: Callable[..., Any], watched: Front, status: int, code: str, kind: type[Exception], cure: str
) -> None:
    store = make_store(endpoint_url=watched.url, attempts=1)
    with watched.faulty(lambda _: said(status, code, "The words of the service.")):
        with pytest.raises(kind) as raised:
            store.overwrite("some/record.json", b"x")
        problems = store.check()
    assert type(raised.value) is kind
    assert f"Writing 'some/record.json' in container 'trial' at {watched.url}" in str(raised.value)
    assert f"was refused ({status} {code}: The words of the service)." in str(raised.value)
    assert cure in str(raised.value)
    assert [cure in problem for problem in problems] == [True]


def test_a_container_that_does_not_exist_is_told_whatever_is_asked(make_store: Callable[..., Any]) -> None:
    store = make_store(path="az://there-is-none/x")
    calls: list[Callable[[], Any]] = [
        lambda: store.create("a", b"x"), lambda: store.read("a"), lambda: store.stat("a"), lambda: list(store.scan("a")),
        lambda: store.overwrite("a", b"x"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ObjectStoreError, match="az storage container create --name there-is-none"):
            call()
    (problem,) = store.check()
    assert problem.endswith("or correct `path`.")


def test_the_fields_show_in_the_requests(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url, encryption_scope="mine")
    store.create("a", b"x")
    store.overwrite("b", b"x")
    store.create("large", b"x" * (17 << 20))
    sent = [request for request in watched.requests if request.method == "PUT"]
    assert sorted(request.verb for request in sent) == ["BLOCK", "BLOCK", "BLOCK", "BLOCKLIST", "PUT", "PUT"]
    assert all(request.headers["x-ms-encryption-scope"] == "mine" for request in sent)
    assert [request.is_conditional for request in sent if request.verb != "BLOCK"] == [True, False, True]
    assert all(request.headers["authorization"].startswith("SharedKey devstoreaccount1:") for request in watched.requests)
    assert {request.headers["user-agent"] for request in watched.requests} == {"dovetail-azure"}


def test_blocks_that_the_service_dropped_for_another_writers_lose_and_say_so(make_store: Callable[..., Any], watched: Front) -> None:
    """Who makes a blob ends all other uploads to it, so that their list of blocks is one of nothing."""
    store, other = make_store(endpoint_url=watched.url), make_store()
    dropped = said(400, "InvalidBlockList", "The specified block list is invalid.")

    def overtake(request: Request) -> Fault | None:
        if request.verb != "BLOCKLIST":
            return None
        other.overwrite("a", b"theirs")
        return dropped

    with watched.faulty(overtake):
        assert store.create("a", b"x" * (17 << 20)) is False
    assert store.read("a") == b"theirs"
    with watched.faulty(lambda request: dropped if request.verb == "BLOCKLIST" else None), pytest.raises(Taken, match="InvalidBlockList"):
        store.create("b", b"x" * (17 << 20))


def test_of_two_who_make_a_large_blob_the_later_one_loses(make_store: Callable[..., Any], watched: Front) -> None:
    store, other = make_store(endpoint_url=watched.url), make_store()
    with watched.faulty(lambda request: other.overwrite("a", b"theirs") if request.verb == "BLOCKLIST" else None):
        assert store.create("a", b"x" * (17 << 20)) is False
    assert store.read("a") == b"theirs"


def test_folders_of_an_account_with_a_real_tree_are_no_objects(make_store: Callable[..., Any], watched: Front) -> None:
    store = make_store(endpoint_url=watched.url)
    listed = (
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>'
        "<Blob><Name>{0}/folder</Name><Properties><ResourceType>directory</ResourceType><Content-Length>0</Content-Length>"
        "<Last-Modified>Sat, 21 Nov 2026 12:00:00 GMT</Last-Modified></Properties></Blob>"
        '<Blob><Name Encoded="true">{0}/folder/a%01b</Name><Properties><Content-Length>5</Content-Length>'
        "<Last-Modified>Sat, 21 Nov 2026 12:00:00 GMT</Last-Modified></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"
    ).format(store._prefix.rstrip("/"))
    answer = said(200, "x")
    with watched.faulty(lambda _: type(answer)(answer=(200, listed.encode()))):
        assert [(path, entry.size) for path, entry in store.walk("")] == [("folder/a\x01b", 5)]


@pytest.mark.parametrize("path", ["container/prefix", "az:///prefix", "az://", "s3://bucket/x", "az://Container", "az://abc?x=1", "az://key:secret@abc/x"])
def test_a_path_that_names_no_container_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="Write it as az://bucket/prefix") as raised:
        AzureArtifactStore(path=path, account="a")
    assert "key:secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"account": None}, "`account` is missing"),
        ({"endpoint_url": "no address"}, "Write it as https://host"),
        ({"endpoint_url": "https://a.blob.core.windows.net?sig=planted"}, "an address with credentials in it"),
        ({"attempts": 0}, "`attempts`"),
        ({"max_concurrency": 0}, "`max_concurrency`"),
        ({"account_key": Secret("no key")}, "az storage account keys list"),
        ({"connection_string": Secret("AccountName=x")}, "az storage account show-connection-string"),
        ({"sas": Secret("a"), "account_key": Secret("b")}, "Set one of them"),
    ],
)
def test_fields_that_cannot_be_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        AzureArtifactStore(**{"path": "az://container", "account": "a", **fields})
    assert "planted" not in str(raised.value)


def test_an_account_has_an_address_of_its_own() -> None:
    assert AzureArtifactStore(path="az://trial/x", account="mine")._url("a") == "https://mine.blob.core.windows.net/trial/x/a"
    assert AzureArtifactStore(path="az://trial/x", account="mine").uri("a") == "az://trial/x/a"


@pytest.mark.parametrize("flavor", ["artifact_store:AzureArtifactStore", "container_registry:AzureRegistry"])
def test_reading_its_fields_imports_no_library_that_it_asks_with(flavor: str) -> None:
    module, _, name = flavor.partition(":")
    given = "path='az://trial/x', account='a'" if "Store" in name else "uri='a.azurecr.io/team'"
    code = (
        f"import sys; from dovetail_azure.{module} import {name} as C; C({given}).configuration()\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('azure', 'requests', 'urllib3', 'msal', 'cryptography', 'docker')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_never_answers_is_found_by_the_check_within_its_deadline(store: Any, watched: Front) -> None:
    began = time.monotonic()
    with watched.faulty(lambda _: Fault(delay=6.0)):
        (problem,) = store.check()
    assert time.monotonic() - began < DEADLINE
    assert "timed out" in problem
