"""Shapes, dtypes and devices: small things that models and results hold beside tensors."""

from __future__ import annotations

import json
from typing import Any

import torch

from dovetail.errors import MaterializerError
from dovetail.materializers.interface import BaseMaterializer


class DescriptorMaterializer(BaseMaterializer):
    """As a word or a list of numbers."""

    ASSOCIATED_TYPES = ("torch.Size", "torch.dtype", "torch.device")

    def save(self, value: Any) -> None:
        with open(f"{self.uri}/descriptor.json", "x", encoding="utf-8") as file:
            json.dump(written(value), file)

    def load(self, data_type: Any) -> Any:
        with open(f"{self.uri}/descriptor.json", encoding="utf-8") as file:
            return descriptor(json.load(file))


def written(value: torch.Size | torch.dtype | torch.device) -> dict[str, Any]:
    if isinstance(value, torch.Size):
        return {"size": list(value)}
    return {"dtype": str(value).removeprefix("torch.")} if isinstance(value, torch.dtype) else {"device": str(value)}


def descriptor(said: dict[str, Any]) -> Any:
    """What `written` said of it. A device need not be there."""
    ((kind, of),) = said.items()
    if kind == "size":
        return torch.Size(of)
    if kind == "device":
        return torch.device(of)
    dtype = getattr(torch, str(of), None)
    if kind != "dtype" or not isinstance(dtype, torch.dtype):
        raise MaterializerError(f"{str(said)[:60]} is no shape, dtype or device of PyTorch {torch.__version__}.")
    return dtype
