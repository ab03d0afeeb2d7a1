from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from dovetail.values import processes
from dovetail.values.processes import is_alive, process_identity


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_the_own_process_is_alive_and_its_identity_is_json() -> None:
    identity = process_identity()
    assert identity["pid"] == os.getpid()
    assert is_alive(json.loads(json.dumps(identity))) is True


def test_a_killed_process_is_dead_even_before_its_parent_has_asked(child: subprocess.Popen[bytes]) -> None:
    identity = process_identity(child.pid)
    assert is_alive(identity) is True
    os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_alive(identity) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert is_alive(identity) is False  # still a zombie here
    child.wait()
    assert is_alive(identity) is False
    with pytest.raises(ProcessLookupError, match=str(child.pid)):
        process_identity(child.pid)


def test_a_pid_that_was_given_to_another_process_is_not_mistaken(child: subprocess.Popen[bytes]) -> None:
    assert is_alive({**process_identity(), "pid": child.pid}) is False


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's own files")
def test_a_process_name_with_brackets_and_spaces_is_read_right() -> None:
    script = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'a) Z 1 (b'); print('named', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            identity = process_identity(process.pid)
            assert str(identity["started"]).isdigit()
            assert is_alive(identity) is True
        finally:
            process.kill()


@pytest.mark.parametrize(
    "changed", [{"boot": "elsewhere", "machine": "other"}, {"boot": "elsewhere", "host": "other"}, {"namespace": "pid:[1]"}]
)
def test_of_a_process_on_another_machine_or_in_another_container_nothing_is_said(changed: dict[str, str]) -> None:
    assert is_alive({**process_identity(), **changed}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs a machine id and a boot id")
def test_a_process_from_before_a_reboot_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"host": "box", "boot": "b1", "machine": "m"}
    monkeypatch.setattr(processes, "_machine", lambda: here)
    monkeypatch.setattr(processes, "_namespace", lambda: "pid:[4026531836]")
    earlier = process_identity()
    monkeypatch.setattr(processes, "_machine", lambda: {**here, "boot": "b2"})
    assert is_alive(earlier) is False
    monkeypatch.setattr(processes, "_namespace", lambda: "pid:[4026532000]")
    assert is_alive({**earlier, "namespace": "pid:[4026532000]"}) is None  # a container: its machine id may be its image's


@pytest.mark.parametrize("broken", [{}, {"pid": "1"}, {"pid": None, "started": "1"}, {"pid": 1}])
def test_a_broken_record_says_nothing_and_raises_nothing(broken: dict[str, object]) -> None:
    whole = {key: value for key, value in process_identity().items() if key not in ("pid", "started")}
    assert is_alive({**whole, **broken}) is None


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**40])
def test_a_pid_that_none_can_have_is_no_process(pid: int) -> None:
    assert is_alive({**process_identity(), "pid": pid}) is False
    with pytest.raises(ProcessLookupError):
        process_identity(pid)


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_where_there_is_no_proc_ps_tells_the_same(monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]) -> None:
    monkeypatch.setattr(processes, "_started_by_proc", processes._started_by_ps)
    identity = process_identity(child.pid)
    assert len(str(identity["started"]).split()) == 5
    assert is_alive(identity) is True
    child.kill()
    child.wait()
    assert is_alive(identity) is False


def test_without_ps_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_started_by_proc", processes._started_by_ps)
    identity = process_identity()
    monkeypatch.setenv("PATH", "/nowhere")
    assert is_alive(identity) is None


def test_reading_the_own_identity_costs_less_than_a_tenth_of_a_millisecond() -> None:
    process_identity()
    best = min(_seconds_for_one() for _ in range(200))
    assert best < 1e-4


def _seconds_for_one() -> float:
    started = time.perf_counter()
    process_identity()
    return time.perf_counter() - started
