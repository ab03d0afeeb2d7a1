"""What services other than S3 complain of, as Dovetail's errors with their cures: the only place that knows their names.

    AwsError               a request that cannot be made as asked
    ├── Denied             a PermissionError: no credentials, wrong or expired ones, or not enough rights
    ├── Unreachable        a ConnectionError: nobody listens, the connection broke, or the service is overloaded
    ├── Absent             what was asked for is not there
    └── Taken              there is something of that name already
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dovetail.errors import DovetailError

_ABSENT = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "NoSuchEntity", "RepositoryNotFoundException", "ImageNotFoundException", "NoSuchKey"}
)
_TAKEN = frozenset({"ResourceInUse", "ResourceExistsException", "RepositoryAlreadyExistsException", "ResourceInUseException"})
_BUSY = frozenset(
    {
        "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "ServiceUnavailable", "InternalServerError",
        "InternalServiceError", "InternalFailure", "ServiceException", "ProvisionedThroughputExceededException", "ConflictException",
    }
)  # fmt: skip
_SIGN_IN = "Sign in again (`aws sso login`, or a new key), or use credentials that renew themselves: a role, a profile"
_CHECK_KEY = "Check `key` and `secret`, or what `aws sts get-caller-identity` says"
_CREDENTIALS = {
    "UnrecognizedClientException": f"{_CHECK_KEY}, and that `region` is enabled for the account",
    "InvalidClientTokenId": f"{_CHECK_KEY}, and that `region` is enabled for the account",
    "InvalidSignatureException": _CHECK_KEY,
    "SignatureDoesNotMatch": _CHECK_KEY,
    "IncompleteSignature": _CHECK_KEY,
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "RequestExpired": "Set this machine's clock, which differs too much from the service's",
}
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired"})
_UNCREDITED = (
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError", "SSOError",
    "InfiniteLoopConfigError", "ConfigNotFound",
)  # fmt: skip
_HAS_THE_NAME = re.compile(r"already exist|already scheduled for deletion")
_NOT_THERE = re.compile(r"Could not find|does not exist|marked (for deletion|deleted)")
_SERVICES = {"ECR": "ecr", "Secrets Manager": "secretsmanager", "CloudWatch": "logs"}
_LIMIT = re.compile(r"'(?P<quota>[^']+)'")
_NUMBERS = re.compile(r"(?:current utilization of (\d+).*?)?request delta of (\d+)")
_MISSING_RIGHT = re.compile(r"(?:User: (?P<who>\S+) is )?not authorized to perform: (?P<right>[\w:*-]+)(?: on resource: (?P<what>\S+))?")
_PRINCIPAL = re.compile(r"arn:aws[\w-]*:(?:iam::\d+:(user)/(?:\S*/)?(\S+)|sts::\d+:(assumed-role)/([^/\s]+)/\S+)")
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d+:role/(?:[^\s/]+/)*([\w+=,@-]+(?:\.[\w+=,@-]+)*)")
_ASSUMING = re.compile(r"\bassume\b.*\brole\b", re.IGNORECASE)


class AwsError(DovetailError):
    pass


class Denied(AwsError, PermissionError):
    pass


class Unreachable(AwsError, ConnectionError):
    pass


class Absent(AwsError):
    pass


class Taken(AwsError):
    pass


@contextmanager
def explained(where: str, what: str, raises: Callable[[str], Exception] | None = None) -> Iterator[None]:
    """Whatever the client library raises inside, as an error of this module, or as `raises` makes of its sentence.

    `where`: the service and its address; `what`: the thing that is asked for. Both are for the message.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        problem = translated(error, where, what)
        raise (raises(str(problem)) if raises is not None else problem) from error


def translated(error: Exception, where: str, what: str) -> AwsError:
    from botocore.exceptions import ClientError

    return _refused(error, where, what) if isinstance(error, ClientError) else _unasked(error, where, what)


def _refused(error: Any, where: str, what: str) -> AwsError:
    """The service answered."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    about = f"{where} refused {error.operation_name} of {what} ({code}{f': {said}' if said and said != code else ''})"
    if code in _TAKEN or _HAS_THE_NAME.search(said):
        return Taken(f"{about}. Choose another name, or delete what has it.")
    if code in _ABSENT or _NOT_THERE.search(said):
        return Absent(f"{about}. Check its name and `region`.")
    if code in _CREDENTIALS:
        return Denied(f"{about}. {_CREDENTIALS[code]}.")
    if _ASSUMING.search(said) and not _MISSING_RIGHT.search(said):
        return Denied(f"{about}. {trusting(said)}.")
    if code in _DENIED or status in (401, 403):
        return Denied(f"{about}. {_allowing(said)}.")
    if code in ("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"):
        return AwsError(f"{about}. {_raising(said, where)}.")
    if code in _BUSY or status >= 500:
        return Unreachable(f"{about}. Try again later; if it goes on, raise `attempts`.")
    return AwsError(f"{about}. Correct what it names.")


def trusting(said: str, service: str = "sagemaker.amazonaws.com") -> str:
    """How a role is given to a service. `said`: a text that names the role's ARN, if one is known."""
    found = _ROLE.search(said)
    return (
        f"Let {service} assume the role: `aws iam update-assume-role-policy --role-name {found[1] if found else 'ROLE'} "
        f"--policy-document '{trust(service)}'`, or correct `role`"
    )


def trust(service: str) -> str:
    """The policy by which a service may assume a role."""
    return _document({"Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def policy(right: str, resource: str) -> str:
    """The policy that allows one thing."""
    return _document({"Action": right, "Resource": resource})


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def _allowing(said: str) -> str:
    """The command that gives the right which a refusal names."""
    found = _MISSING_RIGHT.search(said)
    if found is None:
        return "Allow it to these credentials (`aws sts get-caller-identity` says whose they are)"
    right, what = found["right"], (found["what"] or "*").rstrip(".,")
    who = _PRINCIPAL.fullmatch(found["who"] or "")
    whose = f"put-user-policy --user-name {who[2]}" if who and who[1] else f"put-role-policy --role-name {who[4] if who else 'ROLE'}"
    return f"Allow {right}: `aws iam {whose} --policy-name dovetail-{right.partition(':')[2] or 'aws'} --policy-document '{policy(right, what)}'`"


def _raising(said: str, where: str) -> str:
    """The command that asks for a higher quota. Its code is looked up by the quota's name, which is all that a refusal tells."""
    found, numbers = _LIMIT.search(said), _NUMBERS.search(said)
    quota = found["quota"] if found else "NAME OF THE QUOTA"
    wanted = int(numbers[1] or 0) + int(numbers[2]) if numbers else 1
    service = next((code for begin, code in _SERVICES.items() if where.startswith(begin)), "sagemaker")
    lookup = f"aws service-quotas list-service-quotas --service-code {service} --query \"Quotas[?QuotaName=='{quota}'].QuotaCode\" --output text"
    return (
        f"The quota '{quota}' is too low: `aws service-quotas request-service-quota-increase --service-code {service} "
        f'--desired-value {wanted} --quota-code "$({lookup})"`' + (", or ask for another `instance_type`" if quota.startswith("ml.") else "")
    )


def _unasked(error: Exception, where: str, what: str) -> AwsError:
    """The service was not asked, or its answer got lost."""
    from botocore import exceptions as known

    said = str(error).strip().partition("\n")[0].rstrip(".")
    about = f"{where} could not be asked for {what}: {said}"
    if isinstance(error, known.NoRegionError):
        return AwsError(f"{about}. Set `region`, or AWS_REGION.")
    if isinstance(error, known.SSLError):
        return Unreachable(f"{about}. Check the certificate of `endpoint_url`; AWS_CA_BUNDLE names the authorities to trust.")
    if isinstance(error, (known.ConnectionError, known.HTTPClientError, known.ReadTimeoutError, known.ConnectTimeoutError)):
        return Unreachable(f"{about}. Check `region` and `endpoint_url`, and that the address can be reached from here.")
    if type(error).__name__ == "ResponseParserError":
        return Unreachable(f"{about}. What answers there does not speak as AWS does: check `endpoint_url`, and proxies on the way.")
    if isinstance(error, known.ProfileNotFound):
        return Denied(f"{about}. Correct `profile`, or add it by `aws configure --profile NAME`.")
    if isinstance(error, tuple(getattr(known, name) for name in _UNCREDITED)):
        return Denied(f"{about}. Set `key` and `secret`, a `profile`, AWS_ACCESS_KEY_ID, or the machine's role; or {_SIGN_IN.lower()}.")
    return AwsError(f"{about}. Check the fields of the component.")
