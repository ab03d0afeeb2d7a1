"""What the README shows happens, and it names everything that can be set."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from dovetail import RunFailed
from dovetail.testing import in_memory

from dovetail_evidently.validator import EvidentlyValidator

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_stops_what_it_says_it_stops(trials: Any) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (trials.project.root / "readme_example.py").write_text(example, encoding="utf-8")
    with in_memory(EvidentlyValidator()):
        try:
            training = importlib.import_module("readme_example").training
            assert training().status == "completed"
            with pytest.raises(RunFailed, match=r"drifted_share is 0\.5, wanted drifted_share < 0\.3") as failed:
                training(heavier=20.0)
        finally:
            sys.modules.pop("readme_example", None)
    steps = {name: step.status.value for name, step in failed.value.run.steps.items()}
    assert steps == {"load": "completed", "validate_data": "completed", "gate": "failed", "train": "skipped"}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(EvidentlyValidator)])
def test_each_field_is_explained(field: str) -> None:
    table = README.partition("## Fields")[2].partition("## Checks")[0]
    assert f"`{field}`" in table
