"""Which process a record speaks of: a pid alone is given to another process sooner or later, on every machine alike."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dovetail.digest import of_bytes

if TYPE_CHECKING:
    from dovetail.values.encoding import Json

_INITIAL_NAMESPACES = ("pid:[4026531836]", "")  # the kernel's fixed number for the machine's own; "" where there are none
_ENDED = ("Z", "X")  # a zombie has ended and waits only for its parent to ask


def process_identity(pid: int | None = None) -> dict[str, Json]:
    """Plain JSON that finds the process again, by default this one: `pid`, `started`, `host`, `boot`, `machine`, `namespace`.

    `host` is for people; the rest is opaque, and what a platform does not tell is "". Raises ProcessLookupError when no
    such process runs.
    """
    wanted = os.getpid() if pid is None else pid
    started = _started(wanted)
    if started is None:
        raise ProcessLookupError(f"No process {wanted} runs here.")
    return {"pid": wanted, "started": started, **_machine(), "namespace": _namespace()}


def is_alive(identity: Mapping[str, Any]) -> bool | None:
    """Whether that very process still runs; None where this process cannot tell: on another machine or in another container."""
    here = _machine()
    pid, recorded = identity.get("pid"), identity.get("started")
    if not isinstance(pid, int) or not recorded:
        return None
    if _is_here(identity, here):
        started = _started(pid)
        return None if started == "" else started == recorded
    return False if _rebooted_since(identity, here) else None


def send_signal(identity: Mapping[str, Any], number: int) -> bool:
    """Signal that very process and never another that was given its pid; False where it does not run here.

    Raises PermissionError when it is another user's.
    """
    if not is_alive(identity):
        return False
    try:
        process = os.pidfd_open(identity["pid"]) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return False
    except OSError:  # a kernel without it
        process = None
    try:
        return _send(identity, number, process)
    finally:
        if process is not None:
            os.close(process)


def _send(identity: Mapping[str, Any], number: int, process: int | None) -> bool:
    """`process`: a file number that stays that process's, so that what is asked now still holds when the signal is sent."""
    try:
        if process is None:
            os.kill(identity["pid"], number)
        elif is_alive(identity):
            signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return False
    return True


def _is_here(identity: Mapping[str, Any], here: Mapping[str, str]) -> bool:
    """A boot id is one machine's alone; without one, the machine and its name must do."""
    told_by = ("boot",) if here["boot"] else ("boot", "machine", "host")
    return all(identity.get(key) == here[key] for key in told_by) and identity.get("namespace") == _namespace()


def _rebooted_since(identity: Mapping[str, Any], here: Mapping[str, str]) -> bool:
    """Containers often share a machine id, made with their image, so only what ran outside of one is recognised."""
    if not (here["boot"] and identity.get("boot") and here["machine"]) or identity["boot"] == here["boot"]:
        return False
    same_machine = all(identity.get(key) == here[key] for key in ("machine", "host"))
    return same_machine and identity.get("namespace") == _namespace() and _namespace() in _INITIAL_NAMESPACES


def _started(pid: int) -> str | None:
    """When the process started, in the platform's own terms; None when there is none, "" when that is not told."""
    if pid <= 0:
        return None
    return _started_by_proc(pid) if os.path.exists("/proc/self/stat") else _started_by_ps(pid)


def _started_by_proc(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(1024)
    except PermissionError:
        return ""
    except OSError:  # no such process, or one of another user that a `hidepid` mount hides
        return "" if _signals(pid) else None
    fields = stat[stat.rfind(b")") + 2 :].split()  # the name before may hold spaces and brackets
    return None if fields[0].decode() in _ENDED else fields[19].decode()


def _signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _started_by_ps(pid: int) -> str | None:
    told = _told(["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)])
    if told is None:
        return ""
    state, _, started = told.partition(" ")
    return started.strip() if state and state[0] not in _ENDED else None


def _told(command: list[str]) -> str | None:
    """What the command prints, in one language and time zone everywhere; None where there is no such command."""
    import subprocess  # takes longer to import than everything else here

    surroundings = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=surroundings, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip()


def _namespace() -> str:
    """Read anew each time, since a process that has forked may lie in another one."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


@functools.cache
def _machine() -> dict[str, str]:
    boot = _text("/proc/sys/kernel/random/boot_id") or _told(["sysctl", "-n", "kern.bootsessionuuid"]) or ""
    machine = _text("/etc/machine-id") or _text("/var/lib/dbus/machine-id")
    # The id itself is confidential (machine-id(5)), so records hold a digest made for this use.
    hashed = of_bytes(f"dovetail process identity {machine}".encode())[:16] if machine else ""
    host = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return {"host": host, "boot": boot, "machine": hashed}


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
