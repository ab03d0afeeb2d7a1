"""Users' code is checked by their type checker as if the decorators were not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GOOD = '''
from typing import Annotated

from dovetail import ArtifactConfig, Client, Environment, Model, Resources, Retry, get_step_context, log_metrics, pipeline, step, when


@step
def load(rows: int) -> Annotated[list[float], "petals"]:
    return [0.1 * n for n in range(rows)]


@step(retry=Retry(max_retries=2), resources=Resources(cpu=1), environment=Environment(env={"A": "b"}), timeout=3.0, tags=["a"])
def train(petals: list[float], power: int = 2) -> tuple[Annotated[dict[str, float], "model"], Annotated[float, ArtifactConfig("err")]]:
    log_metrics(error=1.0)
    print(get_step_context().run_name)
    return {"power": power}, 1.0


@step
def use(model: dict[str, float], error: float) -> str:
    return f"{model} {error}"


@pipeline(model=Model("m"))
def iris(rows: int = 150) -> None:
    petals = load(rows)
    model, error = train(petals, power=3)
    with when(error > 0.5):
        use(model, error)
    use.with_options(id="again", after=[model])(model, error)


run = iris(rows=3)
print(run.status, run.steps["train"].metrics, Client().get_artifact("petals").load())
plan = iris.with_options(stack="x").plan(rows=3)
'''


def check(source: str, folder: Path) -> str:
    (folder / "user.py").write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(folder / "cache"), "user.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_good_code_passes_strictly(tmp_path: Path) -> None:
    assert check(GOOD, tmp_path) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("train(petals, power=3)", 'train(petals, power="3")', 'Argument "power"'),
        ("load(rows)", 'load("many")', "Argument 1"),
        ("iris(rows=3)", "iris(row=3)", "Unexpected keyword argument"),
        ("use(model, error)", "use(error, model)", "incompatible type"),
    ],
)
def test_a_mistake_in_a_call_is_found(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert said in check(GOOD.replace(right, wrong, 1), tmp_path)
