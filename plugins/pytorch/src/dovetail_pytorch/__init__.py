"""Declares the materializers of PyTorch's values; torch is imported when such a value shows up."""

from __future__ import annotations

from collections.abc import Sequence

from dovetail.plugin import MaterializerSpec, hookimpl


@hookimpl
def dovetail_materializers() -> Sequence[MaterializerSpec]:
    return [
        MaterializerSpec(("torch.Tensor", "torch.nn.parameter.Parameter"), "dovetail_pytorch.tensors:TensorMaterializer", exact=True),
        MaterializerSpec(("torch.nn.modules.module.Module",), "dovetail_pytorch.modules:ModuleMaterializer"),
        MaterializerSpec(("torch.Size", "torch.dtype", "torch.device"), "dovetail_pytorch.descriptors:DescriptorMaterializer", exact=True),
    ]
