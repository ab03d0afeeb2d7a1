"""What a Bento is made of: the same for the same content, and no string of anybody's in code or build files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dovetail import digest
from dovetail.errors import ConfigurationError, DefinitionError
from dovetail.testing import MaterializerContract
from dovetail_bentoml import Bento, build_bento
from dovetail_bentoml.materializer import BentoMaterializer
from dovetail_bentoml.transformers_models import TransformersMaterializer

_HOSTILE = ('a"; import os #', "$(touch /tmp/owned)", "{{ 7 * 7 }}", "{% raw %}", "line\nRUN touch /owned", "`id`", "file:/etc/passwd", "'\\", "é\u2028")
_LABELS = {f"{text} as a name": f"{text} as a value" for text in _HOSTILE}


def _content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): digest.of_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "framework", "methods"),
    [
        ("scikit-learn", "scikit-learn", ("predict", "predict_proba")),
        ("xgboost", "xgboost", ("predict", "predict_proba")),
        ("booster", "xgboost", ("predict",)),
        ("lightgbm", "lightgbm", ("predict",)),
        ("pytorch", "pytorch", ("predict",)),
        ("transformers", "transformers", ("predict",)),
        ("own", "materializer", ("predict",)),
    ],
)
def test_the_framework_and_what_can_be_asked_follow_from_the_model(bentos: Any, kind: str, framework: str, methods: tuple[str, ...]) -> None:
    bento = bentos.build(kind)
    assert (bento.framework, bento.methods, bento.name) == (framework, methods, f"{kind}-model")
    assert re.fullmatch("[0-9a-f]{16}", bento.version)


def test_equal_content_is_one_bento_built_once_with_equal_files(bentos: Any) -> None:
    first = bentos.build("xgboost")
    content = _content(first.folder)
    again = bentos.anew("xgboost")
    assert again == first
    kept = first.folder.rename(first.folder.with_name("before"))
    try:
        assert _content(bentos.anew("xgboost").folder) == content
    finally:
        assert {kept.name} < {path.name for path in kept.parent.iterdir()}


def test_other_settings_are_another_version(bentos: Any) -> None:
    tags = {bentos.build("own", **options).tag for options in ({}, {"require_token": False, "request_timeout": 5.0}, {"labels": _LABELS})}
    assert len(tags) == 3


def test_hostile_strings_are_kept_as_they_are_and_get_into_no_code_and_no_build_file(bentos: Any) -> None:
    bento, plain = bentos.build("own", labels=_LABELS), bentos.build("own")
    assert bento.labels == _LABELS
    assert Bento.read(bento.folder).labels == _LABELS
    assert yaml.safe_load((bento.folder / "bento.yaml").read_text())["labels"] == _LABELS
    may_differ = {"src/dovetail.json", "bento.yaml", "src/bentofile.yaml", "README.md"}
    ours, theirs = _content(bento.folder), _content(plain.folder)
    assert {path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path)} <= may_differ
    assert not any(text in (bento.folder / "README.md").read_text() for text in _HOSTILE)


@pytest.mark.parametrize("name", ["", "Flights", "a b", "a\nRUN id", "$(id)", "{{x}}", "../up", "-a", "a.", "x" * 64, "é", 'a"', None, 3])
def test_a_name_that_bentoml_could_not_keep_is_refused_before_anything_is_written(bentos: Any, name: Any) -> None:
    before = _content(bentos.project)
    with pytest.raises(DefinitionError, match="lower-case"):
        bentos.anew("own", name=name)
    assert _content(bentos.project) == before


@pytest.mark.parametrize("text", ["numpy\nevil", "--index-url=http://evil", "-r /etc/passwd", "x @ http://evil/x.whl", "./wheel.whl", "not-installed-here"])
def test_a_requirement_is_one_that_is_installed_and_nothing_else(bentos: Any, text: str) -> None:
    with pytest.raises(DefinitionError, match="requirement"):
        bentos.anew("own", requirements=[text])


def test_requirements_are_the_versions_that_are_here_and_wheels_of_what_no_index_has(bentos: Any) -> None:
    import sklearn

    folder = bentos.build("scikit-learn").folder
    lines = (folder / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert f"scikit-learn=={sklearn.__version__}" in lines
    wheels = [line for line in lines if line.startswith("./wheels/")]
    assert all((folder / "src" / line).is_file() for line in wheels)
    named = {re.split("[=-]", line.removeprefix("./wheels/"))[0].replace("_", "-") for line in lines}
    assert {"dovetail", "dovetail-bentoml", "bentoml", "numpy"} <= {re.split("==", name)[0] for name in named} | named


def test_a_value_that_is_no_model_is_refused_with_the_cure(bentos: Any) -> None:
    for value in ([1, 2], {"a": 1}, "text"):
        with pytest.raises(DefinitionError, match=r"no predict\(\) and cannot be called.*Give an estimator"):
            build_bento(value, "value")


class Unknown:
    def predict(self, rows: Any) -> Any:
        return rows


def test_a_model_of_no_known_framework_is_refused_with_the_cure(bentos: Any) -> None:
    with pytest.raises(DefinitionError, match=r"no framework that is known here.*Write a BaseMaterializer") as caught:
        build_bento(Unknown(), "unknown")
    assert "\n" not in str(caught.value)
    assert list((bentos.project / ".dovetail" / "bentoml").glob("building-*")) == []


def test_what_bentoml_says_is_told_when_it_cannot_build(bentos: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dovetail_bentoml import building

    broken = tmp_path / "service.py"
    broken.write_text("raise RuntimeError('this service is broken')\n")
    monkeypatch.setattr(building, "_TEMPLATE", broken)
    with pytest.raises(ConfigurationError, match="this service is broken"):
        bentos.anew("own", name="broken")
    assert not (bentos.project / ".dovetail" / "bentoml" / "bentos" / "broken").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["team"]}, "labels are .'team'.. Write a mapping"), ({"requirements": "numpy"}, "requirements is the string 'numpy'. Write a list"),
        ({"code": "own_model"}, "code is the string 'own_model'. Write a list"), ({"code": ["os"]}, "code 'os' is Python's own"),
    ],
)  # fmt: skip
def test_options_of_another_shape_are_refused_with_the_right_one(bentos: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        bentos.anew("own", name="shaped", **options)


def test_code_of_the_project_goes_with_a_model_that_needs_it(bentos: Any) -> None:
    folder = bentos.build("own").folder
    assert (folder / "src" / "code" / "own_model.py").read_text() == (bentos.project / "own_model.py").read_text()
    assert not (bentos.build("xgboost").folder / "src" / "code").exists()
    with pytest.raises(DefinitionError, match="no name of a top-level module"):
        bentos.anew("own", code=["../secrets"])


def test_bentoml_finds_them_in_the_project(bentos: Any) -> None:
    from dovetail_bentoml.surroundings import variables

    tag = bentos.build("own").tag
    listed = subprocess.run(
        [sys.executable, "-m", "bentoml", "list", "-o", "json"], env=variables(bentos.project / ".dovetail" / "bentoml"), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert tag in listed.stdout


class TestBentoMaterializer(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[BentoMaterializer]:
        return BentoMaterializer

    @pytest.fixture
    def values(self, bentos: Any) -> list[Any]:
        return [bentos.build("own"), bentos.build("xgboost")]


class TestTransformersMaterializer(MaterializerContract):
    @pytest.fixture
    def materializer(self) -> type[TransformersMaterializer]:
        return TransformersMaterializer

    @pytest.fixture
    def values(self, bentos: Any) -> list[Any]:
        pipeline = bentos.model("transformers")
        return [pipeline, pipeline.model]

    @pytest.fixture
    def equal(self) -> Any:
        return _same_transformers


def _same_transformers(one: Any, other: Any) -> bool:
    import torch

    if type(one) is not type(other):
        return False
    if hasattr(one, "task"):
        said = one(["late flight", "early"]), other(["late flight", "early"])
        return one.task == other.task and said[0] == said[1] and _same_transformers(one.model, other.model)
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[name], theirs[name]) for name in mine)
