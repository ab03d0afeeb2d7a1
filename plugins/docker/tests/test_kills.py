"""Containers, workers, engines and submitters that are killed: it is said, it can be resumed, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dovetail import Client
from dovetail.client.views import Run
from dovetail.components import Job
from dovetail.errors import StepFailed
from dovetail.ledger.verifying import verify
from dovetail.testing.trial import isolate
from dovetail_docker.orchestrator import DockerOrchestrator
from dovetail_docker.testing import DockerEngine


def until(condition: Callable[[], Any], said: str, seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, said
        time.sleep(0.02)
    return found


class Broken:
    """A project on a stack of containers, and its submitters."""

    def __init__(self, folder: Path, engine: DockerEngine) -> None:
        self.folder = folder
        self.place = folder / "place"
        self.stack = f"broken-{time.time_ns()}"  # the engine is shared with other tests
        self.engine = engine
        self.submitters: list[subprocess.Popen[str]] = []

    def submit(self, which: str) -> subprocess.Popen[str]:
        command = [sys.executable, "flow.py", which]
        made = subprocess.Popen(command, cwd=self.folder / "project", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.submitters.append(made)
        return made

    def begun(self) -> None:
        until((self.place / "begun").exists, f"no step began: {self.submitters[-1].poll()}")

    def run(self) -> Run:
        return until(Client().list_runs, "there is no run")[0]

    def containers(self) -> list[Any]:
        return self.engine.client().containers.list(all=True, ignore_removed=True, filters={"label": f"dovetail.stack={self.stack}"})

    def running(self) -> Any:
        (found,) = self.containers()
        return found

    def ended(self, submitter: subprocess.Popen[str]) -> Run:
        said, _ = submitter.communicate(timeout=120)
        assert submitter.returncode == 1, said
        return self.run()

    def can_be_resumed(self, *, submitter_killed: bool = False) -> None:
        """To its end, with everything sound and no container left, unless nobody was there to remove it: its run had come to its end by itself."""
        (self.place / "go").touch()
        run = self.run()
        unattended = submitter_killed and run.status.is_success
        if not run.status.is_success:
            run = Client().resume(run)
        assert (run.status.is_success, run.steps["after"].output.load()) == (True, 42), run.error
        if not unattended:
            until(lambda: not self.containers(), "a container is left")
        assert verify(Client().ledger).findings == ()


@pytest.fixture
def broken(engine: DockerEngine, mounted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    isolate(tmp_path, monkeypatch)
    for name in ("place", "project", "home/stacks"):
        (tmp_path / name).mkdir(parents=True)
    volumes = [*mounted["volumes"], f"{tmp_path / 'place'}:{tmp_path / 'place'}"]
    configuration = {**mounted, "volumes": volumes, "variables": {"PLACE": str(tmp_path / "place")}}
    made = Broken(tmp_path, engine)
    stack = {"name": made.stack, "components": {"orchestrator": {"type": "docker", "name": "containers", "configuration": configuration}, "artifact_store": "default"}}
    (tmp_path / "home" / "stacks" / f"{made.stack}.yaml").write_text(yaml.safe_dump(stack))
    shutil.copy(Path(__file__).with_name("flow.py"), tmp_path / "project")
    for name, value in {"DOVETAIL_STACK": made.stack, "PLACE": str(tmp_path / "place"), "VOLUMES": " ".join(volumes), "DOVETAIL_QUIET": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path / "project")
    try:
        yield made
    finally:
        for submitter in made.submitters:
            submitter.kill()
            submitter.wait()
            submitter.stdout.close()
        for found in made.containers():
            with contextlib.suppress(Exception):
                found.remove(force=True)


def worker_of(container: Any) -> int:
    """The worker's pid as this machine has it."""
    (pid,) = [int(line[0]) for line in container.top(ps_args="-o pid,args")["Processes"] if "docker-init" not in line[1]]
    return pid


def kill_worker(container: Any) -> None:
    os.kill(worker_of(container), signal.SIGKILL)


def kill_container(container: Any) -> None:
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)


WAYS = {
    "the worker": (kill_worker, "exit code 137"),
    "the container": (kill_container, "exit code 137"),
    "docker kill": (lambda container: container.kill(), "exit code 137"),
    "docker rm -f": (lambda container: container.remove(force=True), "exit code"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_step_whose_container_is_killed_has_failed_and_can_be_resumed(broken: Broken, way: str) -> None:
    kill, said = WAYS[way]
    submitter = broken.submit("slow")
    broken.begun()
    kill(broken.running())
    middle = broken.ended(submitter).steps["middle"]
    assert (middle.status, middle.error["type"]) == ("failed", "dovetail.errors:WorkerLost")
    assert said in middle.error["message"]
    if way != "docker rm -f":
        assert "It said last:\nits first words" in middle.error["message"]
    broken.can_be_resumed()


def test_a_step_that_runs_out_of_memory_says_so_with_its_limit_and_keeps_its_last_words(broken: Broken) -> None:
    middle = broken.ended(broken.submit("hungry")).steps["middle"]
    assert "It ran out of memory; its limit was 92 MiB" in middle.error["message"]
    last = int(middle.error["message"].rstrip().splitlines()[-1].split()[1])
    assert last > 20
    assert "holding 4 MB\n" in middle.log()
    assert int(middle.log().splitlines()[-1].split()[1]) > last - 60
    assert broken.containers() == []


def test_a_cancelled_run_ends_its_container(broken: Broken) -> None:
    submitter = broken.submit("stubborn")
    broken.begun()
    Client().cancel(broken.run())
    run = broken.ended(submitter)
    assert (run.status, run.steps["middle"].status, run.steps["middle"].attempts) == ("cancelled", "cancelled", 1)
    assert broken.containers() == []
    broken.can_be_resumed()


def test_a_run_goes_on_when_its_engine_was_killed_and_is_back(broken: Broken) -> None:
    submitter = broken.submit("stubborn")
    broken.begun()
    broken.engine.kill()
    time.sleep(1)
    (broken.place / "go").touch()
    broken.engine.start()
    said, _ = submitter.communicate(timeout=120)
    assert submitter.returncode == 0, said
    broken.can_be_resumed()


def test_a_step_that_ends_while_the_engine_is_away_counts(broken: Broken) -> None:
    submitter = broken.submit("slow")
    broken.begun()
    broken.engine.kill()
    try:
        (broken.place / "go").touch()
        until(lambda: "middle" in {path.parent.name for path in broken.folder.rglob("outcome.json")}, "the worker went with its engine")
    finally:
        broken.engine.start()
    said, _ = submitter.communicate(timeout=120)
    assert submitter.returncode == 0, said
    broken.can_be_resumed()
    assert (broken.place / "executed").read_text().split() == ["middle"]


def test_a_container_outlives_its_submitter_and_what_it_commits_is_taken_over(broken: Broken) -> None:
    submitter = broken.submit("slow")
    broken.begun()
    submitter.kill()
    submitter.communicate()
    assert broken.running().status == "running"
    (broken.place / "go").touch()
    until(lambda: broken.running().status == "exited", "the worker goes on")
    assert {name: step.status.value for name, step in broken.run().steps.items()} == {"first": "completed", "middle": "completed", "after": "interrupted"}
    broken.can_be_resumed()
    assert (broken.place / "executed").read_text().split() == ["middle"]


@pytest.mark.parametrize("moment", [0.1, 0.35, 0.6])
@pytest.mark.parametrize("what", ["container", "submitter"])
def test_a_kill_at_any_moment_loses_nothing(broken: Broken, what: str, moment: float) -> None:
    """`moment`: seconds after the first container was there."""
    (broken.place / "go").touch()
    submitter = broken.submit("slow")
    until(broken.containers, "there is no container")
    time.sleep(moment)
    if what == "submitter":
        submitter.kill()
    else:
        for found in broken.containers():
            with contextlib.suppress(Exception):  # it has ended by itself
                found.kill()
    submitter.communicate(timeout=120)
    until(lambda: not [found for found in broken.containers() if found.status == "running"], "a container goes on")
    broken.can_be_resumed(submitter_killed=what == "submitter")


def test_what_a_step_asks_for_is_what_the_engine_received(broken: Broken) -> None:
    submitter = broken.submit("described")
    broken.begun()
    found = broken.running().attrs
    (broken.place / "go").touch()
    submitter.communicate(timeout=120)
    host, config = found["HostConfig"], found["Config"]
    run = broken.run()
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 256_000_000, 256_000_000)
    assert (host["NetworkMode"], host["ShmSize"], host["Init"]) == ("host", 12 * 2**20, True)
    assert {"COLOUR=rot & blau", f"PLACE={broken.place}"} <= set(config["Env"])
    assert config["User"] == f"{os.getuid()}:{os.getgid()}"
    store = broken.folder / "home" / "store"
    assert {f"{broken.place}:/elsewhere:ro", f"{store}:{store}"} <= set(host["Binds"])
    assert {
        "dovetail.run": run.id, "dovetail.run-name": run.name, "dovetail.pipeline": "p", "dovetail.step": "middle", "dovetail.attempt": "1",
        "dovetail.stack": broken.stack, "dovetail.tag.nightly": "", "dovetail.tag.of the run": "",
    }.items() <= config["Labels"].items()  # fmt: skip
    assert run.status == "completed"


def test_what_the_engine_cannot_give_is_refused_before_the_run(broken: Broken) -> None:
    said, _ = broken.submit("typed").communicate(timeout=120)
    assert "sets resources.gpu_type, which orchestrator 'containers'" in said
    assert "sets resources.disk, which orchestrator 'containers'" in said
    assert Client().list_runs() == []


def test_a_container_that_cannot_be_started_leaves_nothing(mounted: dict[str, Any], engine: DockerEngine) -> None:
    name = f"not-to-be-{time.time_ns()}"
    with pytest.raises(StepFailed, match=rf"refused job {name} \(image .*\): .*no such file.*\. Check that the image has"):
        DockerOrchestrator(**{**mounted, "python": "/nowhere/python", "init": False}).start(Job(name, ["-c", "pass"]))
    assert engine.client().containers.list(all=True, filters={"name": name}) == []
