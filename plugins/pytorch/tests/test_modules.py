"""What works of a module that came back, what is refused with its cure, and what a payload cannot make happen."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from dovetail.errors import MaterializerError
from dovetail.materializers.finder import Materializers
from dovetail.registry import Registry
from dovetail.values.imports import RecordedTypes
from torch import nn
from torch.nn import functional as F


class Tied(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(size, 4)
        self.out = nn.Linear(4, size, bias=False)
        self.out.weight = self.embed.weight
        self.also = self.out
        self.layers = [self.embed, self.out]

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.also(self.embed(tokens))


class Counted(nn.Module):
    made = 0

    def __init__(self, required: int) -> None:
        super().__init__()
        Counted.made += 1
        self.line = nn.Linear(required, 1)


class Locked(nn.Module):
    """Leaves out for a pickle what cannot be saved, and makes it anew."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.lock = threading.Lock()


class With(nn.Module):
    """Holds whatever it is given."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.line.held = held


class Shelf:
    def __init__(self, folder: Path, *, is_ours: bool = True) -> None:
        registry = Registry.load()
        own = registry.plugin_modules() | {__name__.partition(".")[0]} if is_ours else registry.plugin_modules()
        self.materializers = Materializers(registry.materializer_specs(), RecordedTypes(plugins=frozenset(own)))
        self.folder = folder
        self.saved: Any = None

    def save(self, value: Any) -> Path:
        self.folder.mkdir()
        self.saved = self.materializers.save(value, str(self.folder))
        return self.folder

    def load(self, *, trusted: bool = False) -> Any:
        return self.materializers.load(str(self.folder), self.saved.materializer, self.saved.type, trusted=trusted)

    def round_trip(self, value: Any) -> Any:
        self.save(value)
        return self.load()

    def forge(self, change: Any) -> None:
        """Change what the payload says, as somebody who can write to the store could."""
        file = self.folder / "module.json"
        said = json.loads(file.read_text(encoding="utf-8"))
        change(said)
        file.chmod(0o644)
        file.write_text(json.dumps(said), encoding="utf-8")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)), torch.randn(2, 1, 5, 5)),
        (nn.LSTM(3, 4, num_layers=2), torch.randn(5, 1, 3)),
        (nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True), torch.randn(1, 4, 8)),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), torch.randn(1, 4, 8)),
        (Tied(5), torch.tensor([[1, 2]])),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_a_model_that_came_back_answers_as_it_did(shelf: Shelf, model: nn.Module, rows: torch.Tensor) -> None:
    model.eval()
    before = model(rows)
    loaded = shelf.round_trip(model)
    after = loaded(rows)
    pairs = zip(before[:1], after[:1]) if isinstance(before, tuple) else [(before, after)]
    assert all(torch.equal(one, other) for one, other in pairs)
    assert not shelf.saved.pickled


def test_training_goes_on_after_loading(shelf: Shelf) -> None:
    model = nn.GRU(2, 2)
    loaded = shelf.round_trip(model)
    for each in (model, loaded):
        torch.manual_seed(3)
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        each(torch.randn(4, 1, 2))[0].square().mean().backward()
        optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), loaded.parameters(), strict=True))
    rows = torch.randn(4, 1, 2)
    assert torch.equal(model(rows)[0], loaded(rows)[0])


def test_what_is_shared_is_shared_again(shelf: Shelf) -> None:
    loaded = shelf.round_trip(Tied(5))
    assert loaded.out.weight is loaded.embed.weight
    assert loaded.also is loaded.out
    assert loaded.layers[0] is loaded.embed
    assert [name for name, _ in loaded.named_parameters()] == ["embed.weight"]


def test_a_model_moves_and_is_saved_as_any_other(shelf: Shelf) -> None:
    loaded = shelf.round_trip(Tied(5)).to(torch.float64).train()
    assert loaded(torch.tensor([1])).dtype is torch.float64
    assert set(loaded.state_dict()) == {"embed.weight", "out.weight", "also.weight"}


def test_loading_runs_no_constructor(shelf: Shelf) -> None:
    shelf.save(Counted(3))
    made = Counted.made
    assert shelf.load().line.in_features == 3
    assert Counted.made == made


def test_frozen_parameters_and_modes_stay(shelf: Shelf) -> None:
    model = nn.Sequential(nn.Linear(1, 1).requires_grad_(False), nn.Dropout().eval())
    loaded = shelf.round_trip(model)
    assert [each.requires_grad for each in loaded.parameters()] == [False, False]
    assert (loaded.training, loaded[1].training) == (True, False)


def test_a_module_that_knows_how_to_leave_things_out_does(shelf: Shelf) -> None:
    assert shelf.round_trip(Locked()).lock.acquire(blocking=False)


def test_metadata_says_how_large_it_is(shelf: Shelf) -> None:
    shelf.save(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1).requires_grad_(False)))
    assert shelf.saved.metadata == {
        "class": "torch.nn.modules.container:Sequential", "parameters": 13, "trainable": 9, "bytes": 52, "dtypes": ["float32"],
    }  # fmt: skip
    assert shelf.saved.artifact_type == "model"


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 1))
    model[0].register_forward_hook(lambda *_: None)
    return model


def local() -> nn.Module:
    class Local(nn.Module):
        pass

    return Local()


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # still to be refused with its cure
@pytest.mark.filterwarnings("ignore:.*torch.nn.utils.spectral_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (hooked, r"Submodule '0' \(Linear\) has hooks \(forward_hooks\).*Remove them first.*state_dict\(\)"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(1, 1)), "is parametrised.*remove_parametrizations"),
        (lambda: nn.utils.spectral_norm(nn.Linear(1, 1)), "has hooks"),
        (lambda: torch.compile(nn.Linear(1, 1)), r"torch.compile made.*module._orig_mod"),
        (lambda: torch.jit.script(nn.Linear(1, 1)), r"TorchScript.*torch.jit.save"),
        (lambda: nn.DataParallel(nn.Linear(1, 1)), r"spread over devices.*module.module"),
        (local, r"cannot be imported by its name.*Define it at module level.*state_dict\(\)"),
        (lambda: nn.Sequential(nn.LazyLinear(1)), r"Submodule '0' \(LazyLinear\) is a lazy module.*Run one batch"),
        (lambda: With(lambda rows: rows), r"Submodule 'line' \(Linear\) has an attribute that is no data: .*lambda.*module level"),
        (lambda: With(threading.Lock()), "A lock is tied to this process"),
        (lambda: nn.Linear(1, 1, device="meta"), "'weight' is on the device 'meta'"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_cure(shelf: Shelf, make: Any, cure: str) -> None:
    with pytest.raises(MaterializerError, match=cure):
        shelf.save(make())


def test_layers_of_pytorch_come_back_from_a_store_that_is_not_trusted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", is_ours=False)
    shelf.save(nn.TransformerEncoderLayer(8, 2, 16, activation=F.gelu, batch_first=True))
    assert shelf.load(trusted=False).activation is F.gelu


def test_a_class_from_elsewhere_comes_back_from_a_trusted_store_only(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", is_ours=False)
    shelf.save(Tied(5))
    with pytest.raises(MaterializerError, match="lies neither in this project, nor in Dovetail, nor in an installed plugin"):
        shelf.load(trusted=False)
    assert isinstance(shelf.load(trusted=True), Tied)


def test_a_function_from_elsewhere_comes_back_from_a_trusted_store_only(shelf: Shelf) -> None:
    shelf.save(With(json.dumps))
    with pytest.raises(MaterializerError, match="'json:dumps', and code that a payload names is followed in a trusted store only.*Set `trusted: true`"):
        shelf.load(trusted=False)
    assert shelf.load(trusted=True).line.held is json.dumps


@pytest.mark.parametrize("name", ["os:system", "torch:load", "torch:hub", "torch:serialization.load", "torch.nn.functional:os.system", "torch.nn.modules.module:torch.load", "torch.nn.functional:_no", "torch"])
def test_no_payload_of_a_store_that_is_not_trusted_names_code_that_acts(shelf: Shelf, name: str) -> None:
    shelf.save(With(F.relu))

    def change(said: dict[str, Any]) -> None:
        said["line"]["attributes"]["held"]["v"]["name"] = name

    shelf.forge(change)
    with pytest.raises(MaterializerError, match="The module holds"):
        shelf.load(trusted=False)


@pytest.mark.parametrize("name", ["os:system", "builtins:object", "torch.nn.modules.module:torch.Tensor", "torch.nn.modules.nowhere:Linear", "dovetail.errors:DovetailError", "pathlib:Path"])
def test_no_payload_makes_a_module_of_what_is_none(shelf: Shelf, name: str) -> None:
    shelf.save(nn.Linear(1, 1))
    shelf.forge(lambda said: said[""].update({"class": name}))
    for trusted in (False, True):
        with pytest.raises(MaterializerError):
            shelf.load(trusted=trusted)


@pytest.mark.parametrize("attribute", ["forward", "_forward_hooks", "__class__", "state_dict", "_modules"])
def test_no_payload_of_a_store_that_is_not_trusted_takes_the_place_of_a_method(shelf: Shelf, attribute: str) -> None:
    shelf.save(nn.Linear(1, 1))
    shelf.forge(lambda said: said[""]["attributes"].update({attribute: {}}))
    with pytest.raises(MaterializerError, match="would put data in place of"):
        shelf.load(trusted=False)


@pytest.mark.parametrize("change", [{"modules": {"0": "nobody"}}, {"parameters": {"weight": True}}, {"attributes": None}, {"class": None}])
def test_a_payload_that_does_not_fit_together_is_an_error_and_nothing_else(shelf: Shelf, change: dict[str, Any]) -> None:
    shelf.save(nn.Sequential(nn.Linear(1, 1)))
    shelf.forge(lambda said: said[""].update(change))
    with pytest.raises(MaterializerError):
        shelf.load()
