"""The one check that every name passes before it is stored, shown or made part of a path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime

from dovetail.errors import NameRefused

MAX_BYTES = 200
TICK = "%Y-%m-%d-%H-%M"  # how `{scheduled}` is filled in the names of a schedule's runs
_PUNCTUATION = frozenset("_-.+ ")
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)
_PLAIN = re.compile(r"[A-Za-z0-9_]+(?:[-.+][A-Za-z0-9_]+)*")
_FIELD = re.compile(r"\{([^{}]*)\}")


def check_name(kind: str, name: object) -> str:
    """The name in Unicode's composed form (NFC), or NameRefused saying which rule it breaks."""
    if not isinstance(name, str):
        raise NameRefused(f"A {kind} must be named by a string, not by {type(name).__name__}.")
    if _is_plain(name):
        return name
    composed = unicodedata.normalize("NFC", name)
    problem = _problem(composed)
    if problem:
        raise NameRefused(f"The {kind} name {name[:60]!r} {problem}.")
    return composed


def _is_plain(name: str) -> bool:
    """Whether nothing needs a closer look, as with most names."""
    return len(name) <= MAX_BYTES and _PLAIN.fullmatch(name) is not None and name.split(".", 1)[0].casefold() not in _RESERVED


def _problem(name: str) -> str | None:
    if not name:
        return "is empty"
    if any("\ud800" <= c <= "\udfff" for c in name):
        return "holds a lone surrogate; it cannot be written as UTF-8"
    if len(name.encode()) > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes in UTF-8"
    bad = next((c for c in name if not (c.isalnum() or unicodedata.category(c) in ("Mn", "Mc") or c in _PUNCTUATION)), None)
    if bad is not None:
        return f"holds {bad!r}; letters, digits, '_', '-', '+', '.' and inner spaces are allowed"
    if not (name[0].isalnum() or name[0] == "_"):
        return "must begin with a letter, a digit or '_'"
    if name[-1] in " .":
        return "must not end with a space or a dot"
    if ".." in name:
        return "holds '..'"
    if name.split(".", 1)[0].casefold() in _RESERVED:
        return "is reserved by an operating system"
    return None


def nearest_name(text: str) -> str:
    """A name like a text that need not be one, such as a file's; two texts may become one name."""
    composed = unicodedata.normalize("NFC", text.encode(errors="replace").decode())
    kept = "".join(c if c.isalnum() or c in _PUNCTUATION else "_" for c in composed)
    kept = re.sub(r"\.{2,}", ".", kept).lstrip("-.+ ").encode()[:MAX_BYTES].decode(errors="ignore").rstrip(" .")
    return kept if is_name(kept) else f"_{kept}"[:MAX_BYTES]


def is_name(name: object) -> bool:
    if not isinstance(name, str):
        return False
    return _is_plain(name) or (_problem(name) is None and unicodedata.is_normalized("NFC", name))


def folded(name: str) -> str:
    """What two names share when they differ in case only; the folder under which a name's records lie."""
    return unicodedata.normalize("NFC", name.casefold())


def fill(kind: str, template: str, now: datetime, substitutions: Mapping[str, str]) -> str:
    """Replace `{date}` (2026-03-01), `{time}` (14-05-09-123456, UTC) and the given substitutions, then check the name."""
    values = {"date": now.strftime("%Y-%m-%d"), "time": now.strftime("%H-%M-%S-%f"), **substitutions}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            known = ", ".join(f"{{{k}}}" for k in sorted(values))
            raise NameRefused(f"The {kind} name {template!r} holds {{{match[1]}}}, which nothing fills; known are {known}.")
        return str(values[match[1]])

    return check_name(kind, _FIELD.sub(value, template) if "{" in template else template)


def check_template(kind: str, template: object) -> str:
    """Check a name that may hold `{…}` fields, as far as it can be checked before they are filled."""
    if not isinstance(template, str):
        return check_name(kind, template)
    check_name(kind, _FIELD.sub("x", template))
    return template
