"""What Cloud Storage complains of, as the kinds of error by which the interface of artifact stores tells what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dovetail.components.transfers import Denied, NoAnswer, ObjectStoreError, Taken, Unreachable, absent
from dovetail_gcp.errors import GoogleError, Kind

_KINDS = {
    Kind.DENIED: Denied,
    Kind.TAKEN: Taken,
    Kind.BUSY: Unreachable,
    Kind.UNREACHED: Unreachable,
    Kind.LOST: Unreachable,
    Kind.SLOW: NoAnswer,
}


@contextmanager
def explained(path: str, *, of_bucket: bool = False) -> Iterator[None]:
    """A GoogleError that is raised inside, as the store's own. What is not there is the object, unless the bucket was asked, or the answer says it."""
    try:
        yield
    except GoogleError as error:
        if error.kind is Kind.ABSENT and not (of_bucket or "bucket does not exist" in str(error)):
            raise absent(path) from None
        raise translated(error) from error


def translated(error: GoogleError) -> ObjectStoreError:
    kind = _KINDS.get(error.kind, ObjectStoreError)
    return kind(str(error), repeated=error.repeated, reached=error.kind is not Kind.UNREACHED)
