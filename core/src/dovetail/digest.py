"""Digests: of bytes, of files, and of plain values in one canonical encoding.

The hash is BLAKE3 (256 bits, lower-case hex): it reads payload several times faster than SHA-256, so hashing a large
artifact costs less than writing it. The name of the hash is kept in a store's `format.json`.
"""

from __future__ import annotations

import json
import os
from typing import Any

from blake3 import blake3

HASH_NAME = "blake3"
LENGTH = 64  # hex characters
_sorted = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_IN_ONE_READ = 1 << 20  # bytes; larger files are mapped and hashed by several threads
_WINDOW = 1 << 25  # bytes of a file that are mapped at once, as mapped pages count as memory


def of_bytes(data: bytes) -> str:
    return str(blake3(data).hexdigest())


def of_file(path: str | os.PathLike[str]) -> str:
    """The digest of a file's content. Raises OSError as `open` does."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(descriptor).st_size
        return of_bytes(os.read(descriptor, size)) if size <= _IN_ONE_READ else _of_large_file(descriptor, size)
    finally:
        os.close(descriptor)


def _of_large_file(descriptor: int, size: int) -> str:
    import mmap

    hashed = blake3(max_threads=blake3.AUTO)
    for start in range(0, size, _WINDOW):
        with mmap.mmap(descriptor, min(_WINDOW, size - start), access=mmap.ACCESS_READ, offset=start) as window:
            hashed.update(window)
    return str(hashed.hexdigest())


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal plain values give equal bytes, unequal ones unequal bytes."""
    return _sorted(value).encode("utf-8", "surrogatepass")


def of_json(value: Any) -> str:
    return of_bytes(canonical(value))


def is_digest(text: str) -> bool:
    return len(text) == LENGTH and not text.strip("0123456789abcdef")
