"""Small models of every framework, and a project in which Bentos of them are built once for all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ |= {"BENTOML_DO_NOT_TRACK": "True", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
ROWS = [[0.0, 1.0], [5.0, 2.0], [9.0, -3.0], [2.0, 2.0]]
_TRAINING = [[float(row), float(row % 3)] for row in range(40)]
_CLASSES = [int(row >= 20) for row in range(40)]
_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "late", "early", "flight"]
_OWN_MODEL = '''
import os
from dovetail import BaseMaterializer, register_materializer


class Threshold:
    """A model of the project's own."""

    def __init__(self, at):
        self.at = at

    def predict(self, rows):
        return [row[0] > self.at for row in rows]


@register_materializer
class ThresholdMaterializer(BaseMaterializer):
    ASSOCIATED_TYPES = (Threshold,)

    def save(self, value):
        with open(os.path.join(self.uri, "at"), "w") as file:
            file.write(str(value.at))

    def load(self, data_type):
        with open(os.path.join(self.uri, "at")) as file:
            return Threshold(float(file.read()))
'''


def _scikit_learn() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(_TRAINING, _CLASSES)


def _xgboost() -> Any:
    import numpy
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=3, max_depth=2).fit(numpy.array(_TRAINING), numpy.array(_CLASSES))


def _lightgbm() -> Any:
    import numpy
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=3, min_child_samples=2, verbose=-1).fit(numpy.array(_TRAINING), numpy.array(_CLASSES))


def _booster() -> Any:
    return _xgboost().get_booster()


def _pytorch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))


def _transformers() -> Any:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, pipeline

    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(_WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "max_position_embeddings": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=len(_WORDS), **shape)).eval()
    return pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")


def _own() -> Any:
    import own_model

    return own_model.Threshold(4.0)


MODELS: dict[str, Callable[[], Any]] = {
    "scikit-learn": _scikit_learn, "xgboost": _xgboost, "booster": _booster, "lightgbm": _lightgbm, "pytorch": _pytorch,
    "transformers": _transformers, "own": _own,
}  # fmt: skip


class Bentos:
    """Builds in a project of its own, once for each model and its options."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self._models: dict[str, Any] = {}
        self._built: dict[str, Any] = {}

    def model(self, kind: str) -> Any:
        if kind not in self._models:
            self._models[kind] = MODELS[kind]()
        return self._models[kind]

    def build(self, kind: str, **options: Any) -> Any:
        key = repr((kind, sorted(options.items(), key=str)))
        if key not in self._built:
            self._built[key] = self.anew(kind, **options)
        return self._built[key]

    def anew(self, kind: str, **options: Any) -> Any:
        from dovetail_bentoml import build_bento

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOVETAIL_PROJECT", str(self.project))
            patch.setenv("DOVETAIL_CACHE", str(self.project.parent / "cache"))
            return build_bento(self.model(kind), **{"name": f"{kind}-model", **options})


@pytest.fixture(scope="session")
def bentos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bentos]:
    project = tmp_path_factory.mktemp("building") / "project"
    (project / ".dovetail").mkdir(parents=True)
    (project / ".dovetail" / "project.yaml").write_text("{}\n")
    (project / "own_model.py").write_text(_OWN_MODEL)
    sys.path.insert(0, str(project))
    yield Bentos(project)
    sys.path.remove(str(project))
