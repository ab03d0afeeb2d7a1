"""What the README shows happens."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dovetail import RunFailed
from dovetail.testing import in_memory
from dovetail.testing.trial import TrialProject, isolate, project_in
from dovetail_pandera.validator import PanderaValidator

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrialProject]:
    isolate(tmp_path, monkeypatch)
    with project_in(tmp_path / "project", monkeypatch) as made:
        monkeypatch.chdir(made.project.root)
        yield made
    sys.modules.pop("baking", None)


def test_the_example_runs_and_stops_what_it_says_it_stops(trial: TrialProject) -> None:
    [example] = re.findall(r"^```python\n# file: baking\.py\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (trial.project.root / "baking.py").write_text(example, encoding="utf-8")
    with in_memory(PanderaValidator()):
        baking = importlib.import_module("baking").baking
        assert baking().status == "completed"
        with pytest.raises(RunFailed, match=r"less_than.*1 row, such as 9\.0") as failed:
            baking(heaviest=9.0)
    steps = {name: step.status.value for name, step in failed.value.run.steps.items()}
    assert steps == {"weigh": "completed", "validate_data": "completed", "gate": "failed", "train": "skipped"}


def test_each_check_that_is_portable_is_explained() -> None:
    table = README.partition("## Checks")[2]
    assert [name for name in PanderaValidator.portable if f"| `{name}` |" not in table] == []
