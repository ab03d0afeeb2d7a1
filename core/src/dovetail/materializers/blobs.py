"""Bytes, as one file that holds nothing else."""

from __future__ import annotations

import os
from typing import Any

from dovetail.materializers import json_file
from dovetail.materializers.interface import BaseMaterializer


class BytesMaterializer(BaseMaterializer):
    """`bytes` and `bytearray`; the file's name says which."""

    ASSOCIATED_TYPES = (bytes, bytearray)

    def save(self, value: Any) -> None:
        json_file.write_bytes(f"{self.uri}/value.{type(value).__name__}", value)

    def load(self, data_type: Any) -> Any:
        if os.path.exists(f"{self.uri}/value.bytes"):
            return json_file.read_bytes(f"{self.uri}/value.bytes")
        return bytearray(json_file.read_bytes(f"{self.uri}/value.bytearray"))
