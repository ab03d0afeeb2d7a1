"""uv and pip, asked to change the environment of this Python, or to say first what they would change."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dovetail.errors import ConfigurationError, DovetailError

_LAST_LINES = 12
_UV_CHANGE = re.compile(r"^ ([-+~]) (\S+)(.*)$")


class Installer(ABC):
    name: str

    @abstractmethod
    def preview(self, requirements: Sequence[str]) -> list[str]:
        """One line for each distribution that installing these would add (+), remove (-) or put back (~); changes nothing."""

    @abstractmethod
    def install(self, requirements: Sequence[str]) -> None: ...

    @abstractmethod
    def uninstall(self, distributions: Sequence[str]) -> None: ...

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-_LAST_LINES:]
            raise DovetailError("\n".join([f"{self.name} failed with exit code {done.returncode}. What it said last:", *lines]))
        return done


class Uv(Installer):
    name = "uv"

    def __init__(self, program: str) -> None:
        self._program = program

    def preview(self, requirements: Sequence[str]) -> list[str]:
        said = self._run([*self._pip("install"), "--dry-run", *requirements]).stderr
        found = [match for match in map(_UV_CHANGE.match, said.splitlines()) if match]
        return [f"{match[1]} {match[2].replace('==', ' ')}{match[3]}" for match in found]

    def install(self, requirements: Sequence[str]) -> None:
        self._run([*self._pip("install"), *requirements])

    def uninstall(self, distributions: Sequence[str]) -> None:
        self._run([*self._pip("uninstall"), *distributions])

    def _pip(self, command: str) -> list[str]:
        return [self._program, "pip", command, "--no-progress", "--color", "never", "--python", sys.executable]


class Pip(Installer):
    name = "pip"

    def preview(self, requirements: Sequence[str]) -> list[str]:
        said = self._run([*_PIP, "install", "--quiet", "--dry-run", "--report", "-", *requirements]).stdout
        report: Mapping[str, Any] = json.loads(said)
        return [line for item in report.get("install", ()) for line in _pip_changes(item)]

    def install(self, requirements: Sequence[str]) -> None:
        self._run([*_PIP, "install", "--quiet", *requirements])

    def uninstall(self, distributions: Sequence[str]) -> None:
        self._run([*_PIP, "uninstall", "--quiet", "--yes", *distributions])


_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


def installer() -> Installer:
    """uv where it is found, beside this Python or on the search path, else pip."""
    beside = str(Path(sys.executable).parent)
    uv = shutil.which("uv", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if uv:
        return Uv(uv)
    from importlib.util import find_spec

    if find_spec("pip") is None:
        raise ConfigurationError(
            f"Neither uv nor pip is there to install into {sys.prefix}. Run `{sys.executable} -m ensurepip`, or install uv."
        )
    return Pip()


def _pip_changes(item: Mapping[str, Any]) -> list[str]:
    from importlib import metadata

    name, version = item["metadata"]["name"], item["metadata"]["version"]
    where = "" if not item.get("is_direct") else f" (from {item['download_info']['url']})"
    try:
        return [f"- {name} {metadata.version(name)}", f"+ {name} {version}{where}"]
    except metadata.PackageNotFoundError:
        return [f"+ {name} {version}{where}"]
