"""Runs one program as a process of its own, apart from everything of the user's, and measures it from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAMS = Path(__file__).resolve().parent / "peers"
DEAD_PROXY = "http://127.0.0.1:9"
LIMIT = 1800.0


class ProgramFailed(Exception):
    """A measured program ended with an error, or printed no measurements; the message holds its last lines."""


@dataclass(frozen=True)
class Place:
    """A folder that a peer may fill: its home, its temporary files, its working directory, and copies of the programs."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    def prepare(self) -> None:
        """Outside any checkout, so that a peer which looks for a project root finds this folder and nothing more."""
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copytree(PROGRAMS, self.programs, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def variables(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Nothing of the user's environment but PATH; telemetry off, and a proxy that nobody answers for what is left."""
        home = self.folder / "home"
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "DOVETAIL_HOME": str(home / "dovetail"),
            "DOVETAIL_CACHE": str(home / "dovetail-cache"),
            "ZENML_CONFIG_PATH": str(home / "zenml"),
            "ZENML_ANALYTICS_OPT_IN": "false",
            "HAMILTON_TELEMETRY_ENABLED": "false",
            "KEDRO_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            "NO_PROXY": "localhost,127.0.0.1,::1",
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), DEAD_PROXY),
            **extra,
        }


def measure(command: Sequence[str | Path], place: Place, extra: Mapping[str, str]) -> dict[str, float]:
    """The process's wall time and peak memory (MB), and whatever its last line gives as JSON."""
    log = place.folder / "log"
    with log.open("wb") as output:
        start = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=place.folder,
            env=place.variables(extra),
        )
        watch = threading.Timer(LIMIT, child.kill)
        watch.start()
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        watch.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if child.returncode:
        raise ProgramFailed(f"exit code {child.returncode}: " + " | ".join(lines[-3:]))
    unit = 1_000_000 if sys.platform == "darwin" else 1_000
    return {"process": seconds, "memory": usage.ru_maxrss / unit, **_printed(lines)}


def _printed(lines: Sequence[str]) -> dict[str, float]:
    last = lines[-1] if lines else ""
    return dict(json.loads(last)) if last.startswith("{") else {}
