"""What a test of Cloud Storage tells apart of requests, and what it says when it complains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from dovetail.testing import front as fronts
from dovetail.testing.front import CUT, DROP, LOSE, STALE, Fault, Front, once, times
from storage_emulator import complaint

__all__ = ["BUSY", "CUT", "DROP", "LOSE", "STALE", "Fault", "Front", "Request", "front", "once", "said", "times"]


@dataclass(frozen=True)
class Request(fronts.Request):
    @property
    def is_conditional(self) -> bool:
        return self.query.get("ifGenerationMatch") == ["0"]

    @property
    def is_create(self) -> bool:
        """Whether it may make an object that was not there: the end of a large one, or a small one."""
        return self.is_conditional and (self.verb == "INSERT" or (self.verb == "PART" and self.ends))

    @property
    def ends(self) -> bool:
        """Of a part of an upload: whether it is the last one."""
        span, _, total = self.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        return span != "*" and int(span.partition("-")[2]) == int(total) - 1

    @property
    def verb(self) -> str:
        """INSERT, BEGIN, PART, STATUS and ABORT of uploads; READ, GET, DELETE of one object; LIST."""
        if "upload_id" in self.query:
            return "ABORT" if self.method == "DELETE" else "STATUS" if "bytes *" in self.headers["content-range"] else "PART"
        if self.method == "POST":
            return "BEGIN" if self.query["uploadType"] == ["resumable"] else "INSERT"
        if self.method == "GET" and "prefix" in self.query:
            return "LIST"
        return "READ" if self.query.get("alt") == ["media"] else self.method


def said(status: int, reason: str, message: str = "") -> Fault:
    """The service answers with an error."""
    return Fault(answer=(status, complaint(status, reason, message)))


BUSY = said(503, "backendError", "Try again.")
front = partial(fronts.front, request=Request)
