"""Tensors as one safetensors file, with a JSON file beside it that says what safetensors cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch.nn.parameter import Parameter, is_lazy

from dovetail.errors import MaterializerError
from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json

_ALONE = "tensor"
_RESERVED = "__metadata__"  # safetensors' own entry
# Kept as they are by every version of safetensors from 0.4.3 on; the others as their bytes.
_PLAIN = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "float8_e4m3fn", "float8_e5m2")
_AS_BYTES = ("complex128", "complex64", "complex32", "uint64", "uint32", "uint16", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")


class TensorMaterializer(BaseMaterializer):
    """Data, shape, dtype, `requires_grad`, and whether it is a Parameter; loaded on the CPU, contiguous, without a gradient.

    The tensors of one container share a file, and what shares its memory with another of them is written once.
    """

    ASSOCIATED_TYPES = ("torch.Tensor", "torch.nn.parameter.Parameter")
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA
    together = True

    def save(self, value: Any) -> None:
        write(self.uri, {_ALONE: value})

    def load(self, data_type: Any) -> Any:
        return read(self.uri)[_ALONE]

    def save_all(self, values: Mapping[str, Any]) -> None:
        write(self.uri, values)

    def load_all(self) -> Mapping[str, Any]:
        return read(self.uri)

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        return {"shape": list(value.shape), "dtype": dtype_name(value.dtype), "device": str(value.device), "requires_grad": value.requires_grad}


def write(folder: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write `tensors.safetensors` and `tensors.json`. Raises MaterializerError for tensors whose data these cannot hold."""
    stored: dict[str, torch.Tensor] = {}
    about: dict[str, dict[str, Json]] = {}
    objects: dict[int, str] = {}
    views: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        if id(tensor) in objects:
            about[name] = {"same": objects[id(tensor)]}
            continue
        check(name, tensor)
        objects[id(tensor)] = name
        place = views.setdefault(_view(tensor) or (name,), _entry(name, stored))
        if place not in stored:
            stored[place] = _bare(tensor)
        about[name] = {"stored": place, **_facts(tensor)}
    safetensors.torch.save_file(_apart(stored), f"{folder}/tensors.safetensors")
    with open(f"{folder}/tensors.json", "x", encoding="utf-8") as file:
        json.dump(about, file, ensure_ascii=False, indent=1)


def read(folder: str) -> dict[str, torch.Tensor]:
    """What `write` wrote, on the CPU; what was one object is one again."""
    with open(f"{folder}/tensors.json", encoding="utf-8") as file:
        about: dict[str, dict[str, Any]] = json.load(file)
    stored = safetensors.torch.load_file(f"{folder}/tensors.safetensors", device="cpu")
    found: dict[str, torch.Tensor] = {}
    for name, facts in about.items():
        found[name] = found[facts["same"]] if "same" in facts else _dressed(folder, stored[facts["stored"]], facts)
    return found


def check(name: str, tensor: torch.Tensor) -> None:
    """Refuse what would not come back as it is."""
    problem = _problem(tensor)
    if problem is not None:
        raise MaterializerError(f"{'The tensor' if name == _ALONE else f'Tensor {name!r}'} {problem}")


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _problem(tensor: torch.Tensor) -> str | None:
    if is_lazy(tensor):
        return "belongs to a lazy module and has no shape yet. Run one batch through the module before you return it."
    if type(tensor) not in (torch.Tensor, Parameter):
        return f"is a {type(tensor).__name__}, and would come back as a plain one. Return `tensor.as_subclass(torch.Tensor)`."
    if tensor.is_quantized:
        return "is quantised, which safetensors cannot hold. Return `tensor.dequantize()`, or `tensor.int_repr()` with its scale and zero point."
    if tensor.is_nested:
        return "is a nested one. Return `list(tensor.unbind())`, or `tensor.to_padded_tensor(…)`."
    if tensor.layout is not torch.strided:
        return f"has the layout {tensor.layout}, which safetensors cannot hold. Return `tensor.to_dense()`, or its indices and values."
    if tensor.device.type == "meta":
        return "is on the device 'meta' and has no data. Return it from a real device."
    if dtype_name(tensor.dtype) not in (*_PLAIN, *_AS_BYTES):
        return f"has the dtype {tensor.dtype}, which is not supported. Convert it: `tensor.to(torch.float32)`."
    return None


def _facts(tensor: torch.Tensor) -> dict[str, Json]:
    facts: dict[str, Json] = {"dtype": dtype_name(tensor.dtype), "shape": list(tensor.shape)}
    said = {"parameter": isinstance(tensor, Parameter), "requires_grad": tensor.requires_grad}
    return {**facts, **{name: True for name, holds in said.items() if holds}}


def _view(tensor: torch.Tensor) -> tuple[Any, ...] | None:
    """What two tensors have in common that show the very same memory in the same way; None where there is no memory."""
    if tensor.numel() == 0:
        return None
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.is_conj(), tensor.is_neg(), tensor.device


def _entry(name: str, taken: Mapping[str, Any]) -> str:
    while name == _RESERVED or name in taken:
        name += "'"
    return name


def _bare(tensor: torch.Tensor) -> torch.Tensor:
    """The values alone, as safetensors takes them."""
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return plain if dtype_name(plain.dtype) in _PLAIN else plain.reshape(-1).view(torch.uint8)


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each with memory of its own: of a part of a larger tensor, the part."""
    apart: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.numel() * tensor.element_size() and storage.data_ptr() not in seen
        seen.add(storage.data_ptr())
        apart[name] = tensor if whole else tensor.clone()
    return apart


def _dressed(folder: str, stored: torch.Tensor, facts: Mapping[str, Any]) -> torch.Tensor:
    dtype = getattr(torch, facts["dtype"]) if facts["dtype"] in (*_PLAIN, *_AS_BYTES) else None
    tensor = stored.view(dtype).reshape(facts["shape"]) if dtype is not None and facts["dtype"] in _AS_BYTES else stored
    if tensor.dtype is not dtype or list(tensor.shape) != facts["shape"]:
        raise MaterializerError(f"The two files in {folder} do not fit each other. Run `dovetail store verify`.")
    if facts.get("parameter"):
        return Parameter(tensor, requires_grad=bool(facts.get("requires_grad")))
    return tensor.requires_grad_() if facts.get("requires_grad") else tensor
