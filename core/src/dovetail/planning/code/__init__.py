"""The identity of a step's code for cache keys: every project function, class, constant and closure that it reaches."""

from __future__ import annotations

from dovetail.planning.code.reader import CodeIdentity, CodeReader

__all__ = ["CodeIdentity", "CodeReader"]
