"""What a test of Blob storage tells apart of requests, and what it says when it complains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from dovetail.testing import front as fronts
from dovetail.testing.front import CUT, DROP, LOSE, STALE, Fault, Front, once, times

__all__ = ["BUSY", "CUT", "DROP", "LOSE", "STALE", "Fault", "Front", "Request", "front", "once", "said", "times"]


@dataclass(frozen=True)
class Request(fronts.Request):
    @property
    def is_conditional(self) -> bool:
        return self.headers.get("if-none-match") == "*"

    @property
    def verb(self) -> str:
        """PUT, BLOCK, BLOCKLIST; READ, HEAD, DELETE of one blob; LIST."""
        comp = self.query.get("comp", [""])[0]
        return {"block": "BLOCK", "blocklist": "BLOCKLIST", "list": "LIST"}.get(comp) or {"GET": "READ"}.get(self.method, self.method)


def said(status: int, code: str, message: str = "") -> Fault:
    """The service answers with an error."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}\nRequestId:1</Message></Error>'
    return Fault(answer=(status, body.encode()))


BUSY = said(503, "ServerBusy", "The server is busy.")
front = partial(fronts.front, request=Request)
