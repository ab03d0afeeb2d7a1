"""What Blob storage complains of, as Dovetail's errors with their cures: the only place that knows its names."""

from __future__ import annotations

import re
from typing import Any

from dovetail.components.transfers import Conflict, Denied, NoAnswer, ObjectStoreError, Taken, Unreachable, absent
from dovetail_azure.identity import SIGN_IN

ABSENT = frozenset({"BlobNotFound", "ResourceNotFound"})
EMPTY = 416  # no range at all lies in a blob of no bytes
_TAKEN = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"})
_OVERTAKEN = "InvalidBlockList"  # another writer made the blob, whereupon the service dropped the blocks that others had sent
_BUSY = frozenset({"ServerBusy", "OperationTimedOut", "InternalError", "IngressIsOverAccountLimit", "EgressIsOverAccountLimit", "TooManyRequests"})
_CONFLICT = frozenset({"ContainerBeingDeleted", "SnapshotOperationRateExceeded", "PendingCopyOperation"})
_KEY = "Check `account_key`, `sas` or `connection_string`: `az storage account keys list --account-name {account}` shows the keys"
_CURES = {
    "AuthenticationFailed": _KEY + "; and this machine's clock",
    "InvalidAuthenticationInfo": f"The token has expired or is none. {SIGN_IN}",
    "NoAuthenticationInformation": SIGN_IN,
    "KeyBasedAuthenticationNotPermitted": f"The account takes no keys, so leave `account_key` out. {SIGN_IN}",
    "AuthorizationProtocolMismatch": "Set `endpoint_url` to an address that begins with https://",
    "AuthorizationSourceIPMismatch": "The `sas` is for other addresses; make another with `az storage container generate-sas`",
    "AccountIsDisabled": "The account is disabled; use another one, or pay what is due",
    "ContainerNotFound": "Create it by `az storage container create --name {container} --account-name {account}`, or correct `path`",
    "InvalidResourceName": "Correct the container's name in `path`",
    "AccountRequiresHttps": "Set `endpoint_url` to an address that begins with https://",
    "IngressIsOverAccountLimit": "Try again later; if it goes on, lower `max_concurrency` or have the account's limit raised: `az support tickets create`",
}
_RIGHTS = (
    'Allow it by `az role assignment create --role "Storage Blob Data Contributor" --assignee WHO --scope $(az storage account show '
    "--name {account} --query id --output tsv)`, or use a `sas` that allows reading, adding, creating, writing, deleting and listing"
)
_LATER = "Try again later; if it goes on, raise `attempts`, or lower `max_concurrency`"
_REACH = "Check `account`, which `az storage account list --output table` shows, `endpoint_url`, the network and the proxy's settings"


def refused(answer: Any, what: str, place: dict[str, str], path: str | None, repeated: bool) -> Exception:
    """Of an answer that is no success. `place`: account and container, for the cure. `path`: the blob; None where none was asked for."""
    code, said = _told(answer)
    status = int(answer.status_code)
    if path is not None and (code in ABSENT or (status == 404 and not code)):
        return absent(path)
    told = f"{what} was refused ({status}{f' {code}' if code else ''}{f': {said}' if said else ''})"
    kind = _kind(status, code)
    cure = _CURES.get(code, "") or {Denied: _RIGHTS, Unreachable: _LATER, Conflict: _LATER, Taken: "Try again, once nothing else writes there"}.get(kind, "")
    if not cure and status == 404:
        cure = _CURES["ContainerNotFound"]
    sentence = f"{told}. {(cure or 'Check the fields of the store').format(**place)}."
    return kind(sentence, repeated=repeated or code == _OVERTAKEN)


def _kind(status: int, code: str) -> type[ObjectStoreError]:
    if code in _TAKEN or code == _OVERTAKEN:
        return Taken
    if code in _CONFLICT:
        return Conflict
    if code in _BUSY or status in (408, 429) or status >= 500:
        return Unreachable
    return Denied if status in (401, 403) or code == "InvalidAuthenticationInfo" else ObjectStoreError


def _told(answer: Any) -> tuple[str, str]:
    """The service's own word for what is wrong, and its sentence."""
    text = answer.text if answer.request.method != "HEAD" else ""
    code = re.search(r"<Code>(\w+)</Code>", text)
    message = re.search(r"<Message>([^<\n]*)", text)
    return answer.headers.get("x-ms-error-code") or (code[1] if code else ""), message[1].strip().rstrip(".") if message else ""


def unasked(error: Exception, what: str, repeated: bool) -> ObjectStoreError:
    """Of what `requests` raises."""
    import requests

    said = " ".join(re.sub(r"sig=[^&\s']+", "sig=********", str(error)).split()).rstrip(".")[:500]
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return NoAnswer(f"{what} got no connection: {said}. {_REACH}.", repeated=repeated, reached=False)
    if isinstance(error, requests.exceptions.Timeout):
        return NoAnswer(f"{what} got no answer: {said}. {_REACH}; or raise `read_timeout`.", repeated=repeated)
    nobody = "NewConnectionError" in said or "NameResolutionError" in said
    return Unreachable(f"{what} got no answer: {said}. {_REACH}.", repeated=repeated, reached=not nobody)
