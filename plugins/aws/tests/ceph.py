"""A real S3 in a folder: Ceph's gateway with one monitor and one storage daemon that keeps everything in memory.

Needs the packages that bring ceph-mon, ceph-osd, radosgw and the command line (Debian: `ceph-mon ceph-osd radosgw ceph-common`).
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from emulator import free_port

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
KEY, SECRET = "TRIALKEY", "trial-secret-0123456789"
_STARTUP = 120.0
_CAPS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "client.rgw": {"mon": "allow rw", "osd": "allow rwx"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
}
_CONFIGURATION = """\
[global]
fsid = {fsid}
keyring = {folder}/keyring
mon_host = v2:127.0.0.1:{mon}
ms_bind_msgr1 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
run_dir = {folder}
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
pid_file = {folder}/$name.pid
mon_data = {folder}/mon
osd_data = {folder}/osd
osd_objectstore = memstore
osd_class_load_list = *
osd_class_default_list = *
memstore_device_bytes = 6442450944
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{rgw}
"""


@dataclass(frozen=True)
class Ceph:
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def ceph(folder: Path) -> Iterator[Ceph]:
    """Runs until the block ends. A user with KEY and SECRET may do everything."""
    running, fsid = Ceph(free_port(), folder), str(uuid.uuid4())
    mon = free_port()
    (folder / "ceph.conf").write_text(_CONFIGURATION.format(fsid=fsid, folder=folder, mon=mon, rgw=running.port))
    _make_keyring(folder)
    for name in ("mon", "osd"):
        (folder / name).mkdir()
    with ExitStack() as daemons:
        _run(folder, "monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon}]", "monmap")
        _run(folder, "ceph-mon", "-i", "a", "--mkfs", "--monmap", "monmap", "--keyring", "keyring")
        daemons.enter_context(_daemon(folder, "ceph-mon", "-i", "a", "-f"))
        disk = str(uuid.uuid4())
        _run(folder, "ceph", "osd", "new", disk)
        _run(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        daemons.enter_context(_daemon(folder, "ceph-osd", "-i", "0", "-f"))
        _until(lambda: "1 up" in _run(folder, "ceph", "osd", "stat"), "the storage daemon did not come up")
        daemons.enter_context(_daemon(folder, "radosgw", "-n", "client.rgw", "-f"))
        _until(lambda: _answers(running.port), "the gateway did not come up")
        _run(folder, "radosgw-admin", "user", "create", "--uid=trial", "--display-name=trial", f"--access-key={KEY}", f"--secret-key={SECRET}")
        yield running


def _make_keyring(folder: Path) -> None:
    _run(folder, "ceph-authtool", "--create-keyring", "keyring")
    for name, caps in _CAPS.items():
        given = [part for target, allowed in caps.items() for part in ("--cap", target, allowed)]
        _run(folder, "ceph-authtool", "keyring", "--gen-key", "-n", name, *given)


def _run(folder: Path, program: str, *arguments: str) -> str:
    known = ["-c", "ceph.conf"] if program not in ("ceph-authtool", "monmaptool") else []
    done = subprocess.run([program, *known, *arguments], cwd=folder, capture_output=True, text=True, timeout=_STARTUP, check=False)
    assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@contextmanager
def _daemon(folder: Path, program: str, *arguments: str) -> Iterator[None]:
    with open(folder / f"{program}.out", "wb") as log:
        process = subprocess.Popen([program, "-c", "ceph.conf", *arguments], cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return b"ListAllMyBuckets" in connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + _STARTUP
    while not holds():
        assert time.monotonic() < until, otherwise
        time.sleep(0.3)
