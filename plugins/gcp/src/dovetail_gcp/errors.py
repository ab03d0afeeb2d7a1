"""What Google's services and its libraries complain of, as one error with its cure: the only place that knows their names."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from dovetail.errors import DovetailError

SIGN_IN = "Sign in by `gcloud auth application-default login`, or set `key` to a service account's key"
_LATER = "Try again later; if it goes on, raise `attempts`"
_REACH = "Check the network, the proxy's settings and `endpoint_url`"
_QUOTA = frozenset({"quotaExceeded", "dailyLimitExceeded", "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "RATE_LIMIT_EXCEEDED"})
_BUSY = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "backendError", "slowDown"})
_DISABLED = frozenset({"accessNotConfigured", "SERVICE_DISABLED", "API_DISABLED"})
_BILLING = frozenset({"accountDisabled", "BILLING_DISABLED", "billingNotEnabled", "UserProjectAccountProblem"})


class Kind(enum.Enum):
    DENIED = "no credentials, wrong or expired ones, or not enough rights"
    ABSENT = "there is no such thing"
    TAKEN = "a condition of the request does not hold"
    BUSY = "overloaded, or over its quota"
    UNREACHED = "nobody was reached, so nothing was done"
    LOST = "the answer got lost, so it may have been done"
    SLOW = "no answer in time, so it may have been done"
    REFUSED = "anything else that the service does not take"


class GoogleError(DovetailError):
    """`status`: that of the answer, 0 where there was none. `reason`: the service's own word. `repeated`: it was asked more than once."""

    def __init__(self, sentence: str, kind: Kind, *, status: int = 0, reason: str = "", repeated: bool = False) -> None:
        super().__init__(sentence)
        self.kind, self.status, self.reason, self.repeated = kind, status, reason, repeated

    @property
    def may_be_done(self) -> bool:
        """Whether the service may have done what it was asked for."""
        return self.kind in (Kind.LOST, Kind.SLOW) or (self.kind is Kind.BUSY and self.status not in (429, 503))

    @property
    def is_passing(self) -> bool:
        """Whether it may go well the next time."""
        return self.kind in (Kind.BUSY, Kind.UNREACHED, Kind.LOST, Kind.SLOW) and self.reason not in _QUOTA

def refused(answer: Any, what: str, cures: Mapping[Any, str], repeated: bool) -> GoogleError:
    """Of an answer that is no success. `cures`: by status or by the service's word, where the caller knows better."""
    reason, said = _told(answer)
    status = int(answer.status_code)
    kind = _kind(status, reason)
    cure = cures.get(reason) or (_known(reason) or cures.get(status) or _by_status(status, kind))
    seen = f"{status}{f' {reason}' if reason else ''}{f': {said}' if said else ''}"
    return GoogleError(f"{what} was refused ({seen}). {cure}.", kind, status=status, reason=reason, repeated=repeated)


def unasked(error: Exception, what: str, repeated: bool) -> GoogleError:
    """Of what `requests` and `google-auth` raise."""
    import requests
    from google.auth import exceptions as auth

    said = " ".join(str(error).split()).partition(" To set up Application Default")[0].rstrip(".")[:500]  # the cure is said below
    if isinstance(error, auth.TransportError):
        return GoogleError(f"{what}: nobody could be asked for credentials: {said}. {_REACH}.", Kind.UNREACHED, repeated=repeated)
    if isinstance(error, auth.GoogleAuthError):
        return GoogleError(f"{what} lacks credentials: {said}. {SIGN_IN}.", Kind.DENIED, repeated=repeated)
    kind = Kind.LOST
    if isinstance(error, requests.exceptions.ConnectTimeout) or "NewConnectionError" in said or "NameResolutionError" in said:
        kind = Kind.UNREACHED
    elif isinstance(error, requests.exceptions.Timeout):
        kind = Kind.SLOW
    return GoogleError(f"{what} got no answer: {said}. {_REACH}.", kind, repeated=repeated)


def _told(answer: Any) -> tuple[str, str]:
    """The service's own word for what is wrong, and its sentence."""
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return "", " ".join(str(answer.text).split())[:200].rstrip(".")
    if not isinstance(error, Mapping):
        return str(error), ""
    words = [detail.get("reason") for detail in error.get("details", ()) if isinstance(detail, Mapping)]
    words += [detail.get("reason") for detail in error.get("errors", ()) if isinstance(detail, Mapping)]
    reason = next((word for word in words if word), error.get("status", ""))
    return str(reason), " ".join(str(error.get("message", "")).split())[:500].rstrip(".")


def _kind(status: int, reason: str) -> Kind:
    if reason in _QUOTA or reason in _BUSY or status in (408, 429) or status >= 500:
        return Kind.BUSY
    if status in (401, 403):
        return Kind.DENIED
    return {404: Kind.ABSENT, 412: Kind.TAKEN}.get(status, Kind.REFUSED)


def _known(reason: str) -> str:
    if reason in _QUOTA:
        return "Wait, or ask for a higher quota: `gcloud beta quotas info list --service=NAME.googleapis.com`"
    if reason in _DISABLED:
        return "Switch the service on by `gcloud services enable NAME.googleapis.com --project=PROJECT`"
    if reason in _BILLING:
        return "Link the project to a billing account: `gcloud billing projects link PROJECT --billing-account=ID`"
    return ""


def _by_status(status: int, kind: Kind) -> str:
    if status == 401:
        return SIGN_IN
    if kind is Kind.DENIED:
        return "Grant the account a role that allows it: `gcloud projects add-iam-policy-binding PROJECT --member=… --role=…`"
    return _LATER if kind is Kind.BUSY else "Check the fields of the component"
