"""Artifacts of the record as references in W&B."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_plain import written

from dovetail_wandb.artifacts import name_of, reference
from dovetail_wandb.tracker import WandbTracker


def test_what_a_step_gave_and_the_next_one_took_is_one_artifact(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.chain)
    (gave,), (took, made) = written(offline, run, "data").artifacts, written(offline, run, "trained").artifacts
    assert (gave.use_after_commit, took.use_after_commit, made.use_after_commit) == (False, True, False)
    assert (gave.name, gave.type, gave.digest) == (took.name, took.type, took.digest)
    assert (gave.name, made.name) == (name_of("größe data"), "weights")
    assert set(made.aliases) == {"latest", "dovetail-v1"}
    data = run.steps["data"].outputs["größe data"]
    assert json.loads(gave.metadata)["digest"] == data.digest
    (entry,) = gave.manifest.contents or [None]
    assert (entry.path, entry.ref) == ("payload", f"dovetail+{Path(data.uri).as_uri()}")


def test_no_copy_of_the_data_is_made(project: Any, offline: WandbTracker) -> None:
    run = project.on(offline).run(project.steps.chain)
    entries = [entry for step in ("data", "trained") for artifact in written(offline, run, step).artifacts for entry in artifact.manifest.contents]
    assert len(entries) == 3
    assert [entry.local_path for entry in entries] == [""] * 3


def test_a_cached_step_gives_the_same_artifacts_again(project: Any, offline: WandbTracker) -> None:
    trial = project.on(offline)
    trial.run(project.steps.chain)
    again = trial.run(project.steps.chain)
    took, made = written(offline, again, "trained").artifacts
    assert (took.use_after_commit, made.name) == (True, "weights")


def test_it_can_be_switched_off(project: Any, tmp_path: Path) -> None:
    tracker = WandbTracker(project="tests", mode="offline", dir=tmp_path / "kept", mirror_artifacts=False, system_metrics=False)
    run = project.on(tracker).run(project.steps.chain)
    assert written(tracker, run, "data").config["rows"] == 3
    assert [written(tracker, run, step).artifacts for step in ("data", "trained")] == [[], []]


@pytest.mark.parametrize("name", ["plain.step.output", "größe", "with space", "x" * 200, "a-b_c.d"])
def test_every_name_becomes_one_that_wandb_allows(name: str) -> None:
    import wandb

    assert wandb.Artifact(name_of(name), type="data").name == name_of(name)


def test_no_two_names_become_one() -> None:
    names = ["größe", "gr-e", "gr e", "gr+e", "x" * 200, "x" * 201]
    assert len({name_of(name) for name in names}) == len(names)


def test_an_address_in_a_bucket_is_kept_and_not_looked_into() -> None:
    import wandb

    artifact = wandb.Artifact("data", type="data")
    artifact.add_reference(reference("s3:///artifacts/ab/data"), name="payload", checksum=False)
    assert artifact.manifest.entries["payload"].ref == "dovetail+s3:///artifacts/ab/data"


WHOLE = """
import sys
import wandb
from dovetail import pipeline, step
from dovetail.testing import in_memory
from dovetail_wandb.tracker import WandbTracker

@step
def train() -> float:
    wandb.log({"loss": 0.5})
    return 0.9

@pipeline
def training():
    train()

with in_memory(WandbTracker(project="tests", mode="offline", dir=sys.argv[1], system_metrics=False)):
    training()
"""


def test_what_wandb_says_of_references_is_no_output_of_the_step(tmp_path: Path) -> None:
    (tmp_path / "whole.py").write_text(WHOLE, encoding="utf-8")
    done = subprocess.run([sys.executable, "whole.py", str(tmp_path / "kept")], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "train  done" in done.stderr
    assert "wandb:" not in done.stdout + done.stderr
