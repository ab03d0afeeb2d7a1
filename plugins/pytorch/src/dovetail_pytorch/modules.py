"""Modules as their state: tensors in safetensors, attributes in JSON, classes by name. Nothing is pickled, and no constructor runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from dovetail.errors import MaterializerError
from dovetail.materializers.interface import BaseMaterializer
from dovetail.materializers.structure import load_document, save_document
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json, type_name
from dovetail_pytorch import tensors
from dovetail_pytorch.references import LAYERS, Known, ModuleReference, StateReference, looked_up, referred, resolved

_FRESH = nn.Module().__dict__
_HOOKS = tuple(name for name in _FRESH if name.endswith("_hooks"))
_FLAT = "Return `module.state_dict()` and make the module anew in the step that uses it."


class ModuleMaterializer(BaseMaterializer):
    """Parameters, buffers, submodules and plain attributes come back; hooks, gradients and what is made at runtime do not and are refused.

    Classes of PyTorch, the project and installed plugins are found again from any store, others from a trusted one.
    """

    ASSOCIATED_TYPES = ("torch.nn.modules.module.Module",)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.MODEL

    def save(self, value: Any) -> None:
        paths = {id(module): path for path, module in value.named_modules()}
        state = dict(_state(value))
        known: dict[int, StateReference | ModuleReference] = {}
        for name, tensor in state.items():
            known.setdefault(id(tensor), StateReference(name))
        known.update({identity: ModuleReference(path) for identity, path in paths.items()})
        described = {path: self._described(path, module, paths, known) for path, module in value.named_modules()}
        tensors.write(self.uri, state)
        save_document(self.uri, "module.json", described, self.nested)

    def _described(self, path: str, module: nn.Module, paths: Mapping[int, str], known: Known) -> dict[str, Any]:
        place = f"Submodule '{path}' ({type(module).__name__})" if path else f"The module ({type(module).__name__})"
        problem = _problem(module) or self._class_problem(type(module))
        if problem is not None:
            raise MaterializerError(f"{place} {problem}")
        held = _held(module)
        try:
            attributes = {name: referred(value, known) for name, value in held.items() if name not in _FRESH}
        except MaterializerError as error:
            raise MaterializerError(f"{place} has an attribute that is no data: {error}") from None
        return {
            "class": type_name(type(module)),
            "training": module.training,
            "parameters": {name: parameter is not None for name, parameter in module._parameters.items()},
            "buffers": {name: buffer is not None for name, buffer in module._buffers.items()},
            "transient": sorted(module._non_persistent_buffers_set),
            "modules": {name: None if child is None else paths[id(child)] for name, child in module._modules.items()},
            "attributes": attributes,
        }

    def _class_problem(self, cls: type[nn.Module]) -> str | None:
        try:
            found = self._class(type_name(cls), trusted=True)
        except MaterializerError:
            found = None
        return None if found is cls else f"is of a class that cannot be imported by its name, {type_name(cls)}. Define it at module level. {_FLAT}"

    def load(self, data_type: Any) -> Any:
        described: dict[str, dict[str, Any]] = load_document(self.uri, "module.json", self.nested)
        state = tensors.read(self.uri)
        made = {path: self._bare(about["class"]) for path, about in described.items()}

        def find(reference: StateReference | ModuleReference) -> Any:
            return state[reference.name] if isinstance(reference, StateReference) else made[reference.path]

        for path in sorted(described, key=lambda path: -path.count(".") - bool(path)):  # children before those that hold them
            self._fill(path, made, described[path], state, find)
        return made[""]

    def _bare(self, name: str) -> nn.Module:
        cls = self._class(name, trusted=self.nested.trusted)
        module: nn.Module = cls.__new__(cls)
        nn.Module.__init__(module)
        return module

    def _fill(self, path: str, made: Mapping[str, nn.Module], about: Mapping[str, Any], state: Mapping[str, torch.Tensor], find: Any) -> None:
        module, before = made[path], f"{path}." if path else ""
        attributes = {name: resolved(value, find, trusted=self.nested.trusted) for name, value in about["attributes"].items()}
        odd = [name for name in attributes if name in _FRESH or (not self.nested.trusted and callable(getattr(type(module), name, None)))]
        if odd:
            raise MaterializerError(f"The payload in {self.uri} would put data in place of {odd[0]!r} of a {type(module).__name__}. Run `dovetail store verify`.")
        held = {
            **module.__dict__,
            "training": about["training"],
            "_parameters": {name: state[before + name] if there else None for name, there in about["parameters"].items()},
            "_buffers": {name: state[before + name] if there else None for name, there in about["buffers"].items()},
            "_non_persistent_buffers_set": set(about["transient"]),
            "_modules": {name: None if child is None else made[child] for name, child in about["modules"].items()},
            **attributes,
        }
        restore: Any = module.__setstate__  # which classes that hold more than data override
        restore(held)

    def _class(self, name: str, *, trusted: bool) -> type[nn.Module]:
        """PyTorch's own, else one that a record may name, else, where the store is trusted, whatever the name leads to."""
        module, _, qualname = str(name).partition(":")
        if module.startswith(LAYERS):
            found = looked_up(module, qualname)
            if found is None:
                raise MaterializerError(f"PyTorch {torch.__version__} has no {name}. Install the version that the model was saved with.")
        else:
            try:
                found = self.nested.resolve(name, nn.Module)
            except MaterializerError:
                found = looked_up(module, qualname) if trusted else None
                if found is None:
                    raise
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            raise MaterializerError(f"The payload in {self.uri} names {name!r} as the class of a module, which it is not.")
        return found

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        parameters = list(value.parameters())
        return {
            "class": type_name(type(value)),
            "parameters": sum(each.numel() for each in parameters),
            "trainable": sum(each.numel() for each in parameters if each.requires_grad),
            "bytes": sum(each.numel() * each.element_size() for each in (*parameters, *value.buffers())),
            "dtypes": sorted({tensors.dtype_name(each.dtype) for each in parameters}),
        }


def _state(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers by the names that `state_dict` gives them, those that it leaves out among them."""
    for path, each in module.named_modules():
        for name, tensor in (*each._parameters.items(), *each._buffers.items()):
            if tensor is not None:
                yield (f"{path}.{name}" if path else name), tensor


def _held(module: nn.Module) -> Mapping[str, Any]:
    """What it holds, as it would hand it to a pickle: some modules leave out what they can make again."""
    get = getattr(type(module), "__getstate__", None)
    held: Any = get(module) if get is not None and get is not getattr(object, "__getstate__", None) else vars(module)
    return held if isinstance(held, Mapping) else vars(module)


def _problem(module: nn.Module) -> str | None:
    """Why it cannot be kept as its state."""
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return "is a lazy module that has seen no data, so it has no weights yet. Run one batch through it before you return it."
    if isinstance(module, torch.jit.ScriptModule):
        return "is compiled by TorchScript. Save it by `torch.jit.save` and return the file's pathlib.Path."
    if type(module).__name__ == "OptimizedModule":
        return "is what torch.compile made. Return the module that it was made of, `module._orig_mod`, and compile that where it is used."
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return "is spread over devices. Return the module that it wraps, `module.module`."
    if torch.nn.utils.parametrize.is_parametrized(module):
        return "is parametrised. Call `torch.nn.utils.parametrize.remove_parametrizations` first. " + _FLAT
    hooks = [name for name in _HOOKS if getattr(module, name, None)]
    if hooks:
        return f"has hooks ({', '.join(name.strip('_') for name in hooks)}), which are code. Remove them first. {_FLAT}"
    return None
