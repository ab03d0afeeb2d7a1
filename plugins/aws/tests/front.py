"""What a test of S3 tells apart of requests, and what S3 says when it complains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from dovetail.testing import front as fronts
from dovetail.testing.front import CUT, DROP, LOSE, Fault, Front, once, times

__all__ = ["CUT", "DROP", "LOSE", "SLOW_DOWN", "Fault", "Front", "Request", "front", "once", "said", "times"]


@dataclass(frozen=True)
class Request(fronts.Request):
    @property
    def is_conditional(self) -> bool:
        return self.headers.get("if-none-match") == "*"

    @property
    def verb(self) -> str:
        """What S3 calls it, shortly: PUT, GET, HEAD, DELETE of one object; LIST; others by what their query names."""
        if self.method == "GET" and "list-type" in self.query:
            return "LIST"
        return "+".join([self.method, *(name for name in ("uploads", "uploadId", "delete") if name in self.query)])


def said(status: int, code: str, message: str = "") -> Fault:
    """The service answers with an error."""
    return Fault(answer=(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()))


SLOW_DOWN = said(503, "SlowDown", "Please reduce your request rate.")
front = partial(fronts.front, request=Request)
