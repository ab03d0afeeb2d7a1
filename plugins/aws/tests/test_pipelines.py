"""A project whose stack file names a bucket, by the command line alone: run, cached, listed from elsewhere, verified, cleaned up."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from front import Front

KEY, SECRET, TOKEN = "AKIAPLANTED00000001", "planted/secret+0123456789abcdef", "planted-token-0123456789=="
STACK = """\
name: on-s3
components:
  orchestrator:   {{type: local}}
  artifact_store:
    type: s3
    configuration:
      path: {path}
      endpoint_url: {url}
      key: ${{TRIAL_KEY}}
      secret: ${{TRIAL_SECRET}}
      token: ${{TRIAL_TOKEN}}
"""


@dataclass
class CommandLine:
    """A clone of the project on a machine of its own."""

    home: Path
    environ: dict[str, str]

    def __call__(self, *arguments: str, code: int = 0) -> str:
        command = [str(Path(sys.executable).with_name("dovetail")), *arguments]
        done = subprocess.run(command, cwd=self.home / "project", env=self.environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def clone(tmp_path: Path, make_store: Callable[..., Any], watched: Front) -> Callable[[str], CommandLine]:
    path = make_store().path

    def make(name: str) -> CommandLine:
        home = tmp_path / name
        (home / "project" / ".dovetail" / "stacks").mkdir(parents=True)
        (home / "project" / ".dovetail" / "project.yaml").write_text("name: trial\n")
        (home / "project" / ".dovetail" / "stacks" / "on-s3.yaml").write_text(STACK.format(path=path, url=watched.url))
        shutil.copy(Path(__file__).with_name("bucket_steps.py"), home / "project" / "bucket_steps.py")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DOVETAIL")}
        own = {"HOME": str(home), "DOVETAIL_HOME": str(home / "dovetail"), "DOVETAIL_CACHE": str(home / "cache"), "DOVETAIL_STACK": "on-s3"}
        return CommandLine(home, {**kept, **own, "TRIAL_KEY": KEY, "TRIAL_SECRET": SECRET, "TRIAL_TOKEN": TOKEN})

    return make


def test_what_one_machine_ran_another_finds_in_the_bucket(clone: Callable[[str], CommandLine]) -> None:
    here, there = clone("here"), clone("there")
    assert "on-s3" in here("stack", "check")
    here("run", "bucket_steps.py:diamond", "--param", "size=4")
    (run,) = json.loads(there("runs", "list", "--output", "json"))
    assert run["status"] == "completed"
    assert "doubling 4" in there("runs", "logs", run["id"])
    assert "cached" in there("run", "bucket_steps.py:diamond", "--param", "size=4")
    assert len(json.loads(here("runs", "list", "--output", "json"))) == 2


def test_the_store_is_verified_collected_and_indexed_anew(
    clone: Callable[[str], CommandLine], make_store: Callable[..., Any]
) -> None:
    here, store = clone("here"), make_store()
    here("run", "bucket_steps.py:diamond")
    assert "all that is named is there" in here("store", "verify")
    assert "nothing to delete" in here("store", "gc")
    here("store", "reindex")
    assert len(json.loads(here("runs", "list", "--output", "json"))) == 1
    (payload, *_) = [path for path, _ in store.walk("artifacts") if "/data/" in path]
    store.delete(payload)
    store.create(payload, b"something else")
    assert "is not what was written" in here("store", "verify", code=1)


def test_a_deleted_runs_records_are_collected(clone: Callable[[str], CommandLine], make_store: Callable[..., Any]) -> None:
    here, store = clone("here"), make_store()
    here("run", "bucket_steps.py:diamond")
    (run,) = json.loads(here("runs", "list", "--output", "json"))
    here("runs", "delete", run["id"], "--yes")
    here("store", "gc")
    assert [path for path, _ in store.walk("runs")] == []
    assert "all that is named is there" in here("store", "verify")


def test_secrets_stand_in_no_record_log_package_or_file(
    clone: Callable[[str], CommandLine], make_store: Callable[..., Any], watched: Front
) -> None:
    here = clone("here")
    here("run", "bucket_steps.py:two_steps")
    here("run", "bucket_steps.py:telling", code=1)
    (run, _) = json.loads(here("runs", "list", "--output", "json"))
    shown = [here("runs", "show", run["id"]), here("runs", "logs", run["id"]), here("stack", "describe", "on-s3")]
    assert "********" in shown[1]
    assert not [output for output in shown if SECRET in output or TOKEN in output or KEY in output]
    store = make_store()
    found = {path: store.read(path) for path, _ in store.walk("")}
    assert any("/log/" in path for path in found)
    for path, content in [*found.items(), *((str(file), file.read_bytes()) for file in here.home.rglob("*") if file.is_file())]:
        for text in contents(path, content):
            assert not [planted for planted in (KEY, SECRET, TOKEN) if planted.encode() in text], path
    assert {request.headers["x-amz-security-token"] for request in watched.requests} == {TOKEN}, "the credentials were not used"


def contents(path: str, content: bytes) -> list[bytes]:
    if not path.endswith(".zip"):
        return [content]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def test_other_tools_find_payload_by_its_address(project: Any, make_store: Callable[..., Any]) -> None:
    store = make_store()
    output = project.on(store).run(project.steps.diamond).steps["summed"].output
    assert output.uri == f"{store.path}/artifacts/{output.digest}/data"
    bucket, _, prefix = output.uri.removeprefix("s3://").partition("/")
    listed = store._s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")["Contents"]
    assert [entry["Key"].rpartition("/")[2] for entry in listed] == list(output.manifest.files)
