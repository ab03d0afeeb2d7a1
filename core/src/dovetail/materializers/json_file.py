"""The JSON files of a payload: written once and by one call, read with whatever a stranger may have put there."""

from __future__ import annotations

import json
import os
from typing import Any

from dovetail.errors import MaterializerError

_DECIMAL_BITS = 13_000  # Python refuses to write integers of more than 4,300 digits as decimals
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


def to_text(node: Any) -> str:
    """JSON without spaces, keys in the order in which they stand."""
    try:
        return _encode(node)
    except ValueError:
        return _encode(_widened(node))


def _widened(node: Any) -> Any:
    """The same JSON, with the integers that Python does not write as decimals marked and in hexadecimal."""
    if type(node) is int and node.bit_length() > _DECIMAL_BITS:
        return {"$": "int", "v": hex(node)}
    if type(node) is list:
        return [_widened(item) for item in node]
    if type(node) is dict:
        return {key: _widened(item) for key, item in node.items()}
    return node


def write(path: str, node: Any) -> None:
    write_bytes(path, to_text(node).encode("utf-8", "surrogatepass"))


def write_bytes(path: str, data: bytes | bytearray) -> None:
    """Make the file `path`, which must not exist."""
    file = os.open(path, _FLAGS, 0o666)
    try:
        written = os.write(file, data)
        while written < len(data):  # one call writes at most two gigabytes
            written += os.write(file, memoryview(data)[written:])
    finally:
        os.close(file)


def read_bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def read(path: str) -> Any:
    """Raises MaterializerError for anything but JSON that Python can hold."""
    return parse(read_bytes(path), path)


def parse(data: bytes, path: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MaterializerError(
            f"{path} is not the JSON that was written there: {error}. Run `dovetail store verify`."
        ) from error
