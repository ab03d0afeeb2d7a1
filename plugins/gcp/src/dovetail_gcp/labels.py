"""Labels as Google's services take them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping

_LONGEST = 63
_MOST = 64


def labels(*given: Mapping[str, str]) -> dict[str, str]:
    """One mapping of all, the later before the earlier: lower case, letters, digits, `_` and `-`, at most 63 of them and 64 labels.

    What is too long is cut, and ends in a mark of its own, so that two do not become one.
    """
    made: dict[str, str] = {}
    for mapping in given:
        for key, value in mapping.items():
            made[label_key(key)] = label_value(value)
    return dict(list(made.items())[-_MOST:])


def label_key(text: str) -> str:
    said = _plain(text)
    return said if said[:1].isalpha() else _cut(f"x-{said}")


def label_value(text: str) -> str:
    return _plain(text)


def _plain(text: str) -> str:
    lowered = unicodedata.normalize("NFC", text).lower()
    return _cut("".join(character if _taken(character) else "-" for character in lowered))


def _taken(character: str) -> bool:
    return character in "_-" or unicodedata.category(character) in ("Ll", "Lo", "Nd", "Nl", "No")


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
