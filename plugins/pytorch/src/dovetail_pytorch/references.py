"""What stands in a module's attributes for things that are not data, or are data that is kept elsewhere."""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dovetail.errors import MaterializerError
from dovetail.values.encoding import module_name
from dovetail_pytorch.descriptors import descriptor, written

_OPEN = ("torch", "torch.nn.functional", "torch._C._nn")
LAYERS = "torch.nn.modules."
_CODE = (types.FunctionType, types.BuiltinFunctionType, type)


@dataclass(frozen=True)
class StateReference:
    """A parameter or buffer of the module, by its name in the state."""

    name: str


@dataclass(frozen=True)
class ModuleReference:
    """A submodule, by its path."""

    path: str


@dataclass(frozen=True)
class CodeReference:
    """A function or class, by its name: `module:qualname`."""

    name: str


@dataclass(frozen=True)
class PartialReference:
    """A functools.partial."""

    function: Any
    args: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True)
class Descriptor:
    """A shape, dtype or device."""

    said: dict[str, Any]


Known = Mapping[int, StateReference | ModuleReference]


def referred(value: Any, known: Known) -> Any:
    """The value with references in place of what is no data, and of the objects in `known`, which is by identity."""
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, (torch.Size, torch.dtype, torch.device)):
        return Descriptor(written(value))
    if isinstance(value, _CODE):
        return CodeReference(code_name(value))
    if isinstance(value, functools.partial):
        keywords = {name: referred(item, known) for name, item in value.keywords.items()}
        return PartialReference(referred(value.func, known), tuple(referred(item, known) for item in value.args), keywords)
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(referred(item, known) for item in value)
    if type(value) in (dict, OrderedDict):
        return type(value)((key, referred(item, known)) for key, item in value.items())
    return value


def resolved(value: Any, find: Callable[[StateReference | ModuleReference], Any], *, trusted: bool) -> Any:
    """What `referred` was given. Code beyond PyTorch's functions on tensors and its layers is followed where the store is trusted."""
    if isinstance(value, (StateReference, ModuleReference)):
        return find(value)
    if isinstance(value, Descriptor):
        return descriptor(value.said)
    if isinstance(value, CodeReference):
        return code(value.name, trusted=trusted)
    if isinstance(value, PartialReference):
        inner = (resolved(part, find, trusted=trusted) for part in (value.function, value.args, value.keywords))
        function, args, keywords = inner
        return functools.partial(function, *args, **keywords)
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(resolved(item, find, trusted=trusted) for item in value)
    if type(value) in (dict, OrderedDict):
        return type(value)((key, resolved(item, find, trusted=trusted)) for key, item in value.items())
    return value


def code_name(value: Any) -> str:
    """`module:qualname` by which it is found again. Raises MaterializerError where there is none, as for a lambda."""
    name = getattr(value, "__name__", "")
    own = (module_name(getattr(value, "__module__", None) or ""), getattr(value, "__qualname__", name))
    for module, qualname in (own, ("torch", name), ("torch.nn.functional", name)):
        if module and "<" not in qualname and looked_up(module, qualname) is value:
            return f"{module}:{qualname}"
    raise MaterializerError(
        f"{value!r:.80} cannot be named from elsewhere. Define it at module level in a module of the project, or return `module.state_dict()`."
    )


def code(name: str, *, trusted: bool) -> Any:
    module, _, qualname = name.partition(":")
    found = looked_up(module, qualname) if trusted or _is_pytorch(module) else None
    if not trusted and not _is_harmless(module, qualname, found):
        raise MaterializerError(
            f"The module holds {name!r}, and code that a payload names is followed in a trusted store only, layers of PyTorch and its "
            "functions on tensors apart. Set `trusted: true` in the artifact store's configuration if you trust everyone who can write to it."
        )
    if not isinstance(found, _CODE):
        raise MaterializerError(f"The module holds {name!r}, which is no function or class that can be found here. Install or restore what has it.")
    return found


def looked_up(module: str, qualname: str) -> Any:
    """What is found there, None where there is nothing; the script that runs is known by its file's module name."""
    try:
        found: Any = sys.modules["__main__"] if module == module_name("__main__") else importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return found


def _is_pytorch(module: str) -> bool:
    return module in _OPEN or module.startswith(LAYERS)


def _is_harmless(module: str, qualname: str, found: Any) -> bool:
    """A layer, or a function that reckons with tensors and does nothing else."""
    if "." in qualname or qualname.startswith("_"):
        return False
    if module.startswith(LAYERS):
        return isinstance(found, type) and issubclass(found, torch.nn.Module)
    if module == "torch":
        return isinstance(found, types.BuiltinFunctionType) and found.__qualname__.startswith("_VariableFunctionsClass.")
    return module in _OPEN and isinstance(found, (types.FunctionType, types.BuiltinFunctionType))
