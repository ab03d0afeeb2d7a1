"""What AWS and its client library complain of, as Dovetail's errors with their cures: the only place that knows their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dovetail.components.transfers import Conflict, Denied, NoAnswer, Taken, Unreachable, absent
from dovetail.components.transfers import ObjectStoreError as S3Error

ABSENT = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion"})
EMPTY = frozenset({"InvalidRange", "416"})  # no range at all lies in an object of no bytes
_TAKEN = frozenset({"PreconditionFailed", "412", "NoSuchUpload"})  # the last is said of a multipart upload that was completed already
_CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})

_RIGHTS = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "GetObject": "s3:GetObject and s3:ListBucket",
    "HeadObject": "s3:GetObject and s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}
_CHECK_KEY = "Check `key` and `secret`, or what `aws sts get-caller-identity` says"
_SIGN_IN = "Sign in again (`aws sso login`, or a new key), or use credentials that renew themselves: a role, a profile"
_FIND_ENDPOINT = "Check `endpoint_url` and `region`, and that the address can be reached from here"
_LATER = "Try again later; if it goes on, raise `attempts`, or lower `max_concurrency`"
_CURES = {
    "InvalidAccessKeyId": _CHECK_KEY,
    "SignatureDoesNotMatch": _CHECK_KEY,
    "InvalidToken": _SIGN_IN,
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "TokenRefreshRequired": _SIGN_IN,
    "RequestTimeTooSkewed": "Set this machine's clock, which differs too much from the service's",
    "RequestExpired": "Set this machine's clock, which differs too much from the service's",
    "NoSuchBucket": "Create the bucket, or correct `path`",
    "PermanentRedirect": "Set `region` to the bucket's own",
    "AuthorizationHeaderMalformed": "Set `region` to the bucket's own",
    "IllegalLocationConstraintException": "Set `region` to the bucket's own",
    "InvalidBucketName": "Correct the bucket's name in `path`",
    "400": "Check that the credentials have not expired, and `region`",
    "301": "Set `region` to the bucket's own",
    "EntityTooLarge": "Raise what the service takes at once, or store smaller files",
    "NotImplemented": "The service lacks something of S3 that is needed here; use another one",
    "MethodNotAllowed": "Check `endpoint_url`: what answers there does not speak S3",
}
_DENIED = frozenset(
    {
        "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
        "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestExpired",
        "Forbidden", "Unauthorized", "403", "401",
    }
)  # fmt: skip
_UNCREDITED = (
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError", "SSOError",
    "InfiniteLoopConfigError", "ConfigNotFound",
)  # fmt: skip


@contextmanager
def explained(where: str, path: str) -> Iterator[None]:
    """Whatever the client library raises inside, as an error of this module. `where`: the bucket and its address, for the message."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise translated(error, where, path) from error


def translated(error: Exception, where: str, path: str) -> Exception:
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return _refused(error, where, path)
    return _unasked(error, where, path)


def code_of(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def foreign(where: str, path: str) -> S3Error:
    return S3Error(f"{where} answered for '{path}' without its size and date. {_CURES['MethodNotAllowed']}.")


def _refused(error: Any, where: str, path: str) -> Exception:
    """The service answered."""
    code, status = code_of(error), int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in ABSENT:
        return absent(path)
    said = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
    repeated = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) > 0
    what = f"{where} refused {error.operation_name} of '{path}' ({code}{f': {said}' if said and said != code else ''})"
    if code in _DENIED or status in (401, 403):
        right = _RIGHTS.get(error.operation_name, "s3:*")
        cure = _CURES.get(code, f"Allow {right} on the bucket to these credentials, and the use of its KMS key if it has one")
        return Denied(f"{what}. {cure}.", repeated=repeated)
    if code in _TAKEN:
        return Taken(f"{what}. Try again, once nothing else writes there.", repeated=repeated)
    if code in _CONFLICT:
        return Conflict(f"{what}. {_LATER}.", repeated=repeated)
    if (status >= 500 and code not in _CURES) or code in ("SlowDown", "Throttling", "RequestLimitExceeded", "RequestTimeout"):
        return Unreachable(f"{what}. {_LATER}.", repeated=repeated)
    return S3Error(f"{what}. {_CURES.get(code, 'Check the fields of the store')}.", repeated=repeated)


def _unasked(error: Exception, where: str, path: str) -> Exception:
    """The service was not asked, or its answer got lost."""
    from botocore import exceptions as known

    said = str(error).strip().rstrip(".")
    what = f"{where} could not be asked for '{path}': {said}"
    reached = not isinstance(error, (known.ConnectTimeoutError, known.EndpointConnectionError))
    if isinstance(error, (known.ReadTimeoutError, known.ConnectTimeoutError)):
        return NoAnswer(f"{what}. {_FIND_ENDPOINT}; or raise `read_timeout`.", reached=reached)
    if isinstance(error, known.SSLError):
        return Unreachable(f"{what}. Check the certificate of `endpoint_url`; AWS_CA_BUNDLE names the authorities to trust.")
    if isinstance(error, (known.ConnectionError, known.HTTPClientError, known.ResponseStreamingError, known.IncompleteReadError)):
        return Unreachable(f"{what}. {_FIND_ENDPOINT}.", reached=reached)
    if isinstance(error, known.ProfileNotFound):
        return Denied(f"{what}. Correct `profile`, or add it by `aws configure --profile NAME`.")
    if isinstance(error, tuple(getattr(known, name) for name in _UNCREDITED)):
        return Denied(f"{what}. Set `key` and `secret`, a `profile`, AWS_ACCESS_KEY_ID, or the machine's role; or {_SIGN_IN.lower()}.")
    return S3Error(f"{what}. Check the fields of the store.")
