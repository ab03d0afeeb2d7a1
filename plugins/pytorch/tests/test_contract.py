"""The plugin and its materializers keep their contracts."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from dovetail.materializers.interface import BaseMaterializer
from dovetail.testing import MaterializerContract, PluginContract
from dovetail_pytorch.descriptors import DescriptorMaterializer
from dovetail_pytorch.modules import ModuleMaterializer
from dovetail_pytorch.tensors import TensorMaterializer
from torch import nn
from torch.nn import functional as F

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.complex64, torch.complex128,
]  # fmt: skip


def same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    facts = [(type(each), each.dtype, each.shape, each.requires_grad) for each in (one, other)]
    bits = [each.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8) for each in (one, other)]
    return facts[0] == facts[1] and torch.equal(*bits)


def same_module(one: nn.Module, other: nn.Module) -> bool:
    """Every module, parameter, buffer and attribute, and which of them are one."""
    if [(path, type(module), module.training) for path, module in one.named_modules()] != [
        (path, type(module), module.training) for path, module in other.named_modules()
    ]:
        return False
    names = [list(each.state_dict(keep_vars=True)) for each in (one, other)]
    tensors = [[*each.parameters(), *each.buffers()] for each in (one, other)]
    if names[0] != names[1] or len(tensors[0]) != len(tensors[1]):
        return False
    plain = [
        [{name: value for name, value in vars(module).items() if isinstance(value, (bool, int, float, str, tuple, torch.dtype))} for module in each.modules()]
        for each in (one, other)
    ]
    return plain[0] == plain[1] and all(map(same_tensor, *tensors))


class Net(nn.Module):
    """What users write: arguments, functions as attributes, a buffer that is not saved, tied weights, plain data."""

    def __init__(self, hidden: int, activation: Callable[..., Any] = F.relu) -> None:
        super().__init__()
        self.hidden = hidden
        self.settings = {"rate": 0.5, "layers": [hidden, 2], "shape": torch.Size([2, 3]), "dtype": torch.bfloat16, "where": torch.device("cuda", 1)}
        self.activation = activation
        self.make_norm = functools.partial(nn.LayerNorm, eps=1e-6)
        self.first = nn.Linear(4, hidden)
        self.norm = self.make_norm(hidden)
        self.last = nn.Linear(hidden, 4)
        self.tied = nn.Linear(hidden, 4, bias=False)
        self.tied.weight = self.last.weight
        self.again = self.first
        self.nothing = None
        self.register_module("empty", None)
        self.register_parameter("none", None)
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("scratch", torch.arange(3), persistent=False)
        self.plain = torch.ones(2)  # neither parameter nor buffer

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.tied(self.norm(self.activation(self.again(rows))))


class TestTensors(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return TensorMaterializer

    @pytest.fixture
    def equal(self) -> Callable[[Any, Any], bool]:
        return same_tensor

    @pytest.fixture
    def values(self) -> list[Any]:
        base = torch.arange(12, dtype=torch.float32)
        return [
            *(torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype) for dtype in DTYPES),
            torch.tensor(3.5), torch.tensor(1 + 2j), torch.empty(0), torch.empty((0, 3), dtype=torch.int64), torch.empty((2, 0, 1)),
            torch.tensor([math.nan, math.inf, -math.inf, -0.0]), base.reshape(3, 4).t(), base[::2], base[3:5], base.expand(2, 12),
            torch.randn(3, requires_grad=True), nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2), requires_grad=False),
            torch.tensor([1 + 2j, 3j]).conj(), torch.ones(1, 3, 2, 2).to(memory_format=torch.channels_last),
        ]  # fmt: skip


class TestModules(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return ModuleMaterializer

    @pytest.fixture
    def equal(self) -> Callable[[Any, Any], bool]:
        return same_module

    @pytest.fixture
    def values(self) -> list[Any]:
        torch.manual_seed(1)
        return [
            nn.Linear(3, 2), nn.Linear(3, 2, bias=False).eval(), nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten()),
            nn.LSTM(3, 4, num_layers=2, bidirectional=True), nn.GRU(2, 2), nn.TransformerEncoderLayer(8, 2, dim_feedforward=16),
            nn.Transformer(8, 2, 1, 1, 16, batch_first=True), nn.MultiheadAttention(8, 2), nn.Embedding(5, 3, padding_idx=0), nn.Dropout(0.25), nn.Identity(),
            nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ModuleList([nn.GELU(), nn.Softmax(dim=-1)])}), nn.ParameterList([nn.Parameter(torch.ones(2))]),
            nn.ParameterDict({"a": nn.Parameter(torch.ones(2)), "b": nn.Parameter(torch.zeros(1))}), nn.Linear(2, 2).to(torch.bfloat16),
            nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0])), nn.Upsample(scale_factor=2.0), Net(5), Net(3, torch.tanh).eval(), Net(2, nn.GELU()),
        ]  # fmt: skip


class TestDescriptors(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return DescriptorMaterializer

    @pytest.fixture
    def values(self) -> list[Any]:
        return [torch.Size([]), torch.Size([2, 3]), torch.bfloat16, torch.complex128, torch.device("cpu"), torch.device("cuda", 3), torch.device("meta")]


class TestPlugin(PluginContract):
    @pytest.fixture
    def plugin(self) -> str:
        return "dovetail_pytorch"
