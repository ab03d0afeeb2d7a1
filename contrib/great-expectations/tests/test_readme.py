"""What the README shows happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dovetail import RunFailed
from dovetail.testing import in_memory
from dovetail.testing.own_steps import project_with
from dovetail_great_expectations.validator import GreatExpectationsValidator

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_stops_what_it_says_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(r"^```python\n# file: baking\.py\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (tmp_path / "baking.py").write_text(example, encoding="utf-8")
    with project_with(tmp_path / "baking.py", tmp_path, monkeypatch) as project, in_memory(GreatExpectationsValidator()):
        baking = project.steps.baking
        assert baking().status == "completed"
        with pytest.raises(RunFailed, match=r"expect_column_values_to_be_between") as failed:
            baking(heaviest=9.0)
    steps = {name: step.status.value for name, step in failed.value.run.steps.items()}
    assert steps == {"weigh": "completed", "validate_data": "completed", "gate": "failed", "train": "skipped"}


def test_each_check_that_is_portable_is_explained() -> None:
    table = README.partition("## Checks")[2]
    assert [name for name in GreatExpectationsValidator.portable if f"| `{name}` |" not in table] == []
