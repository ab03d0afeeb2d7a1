"""Steps in processes that share nothing with the one that runs the pipeline but this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import weakref
from dataclasses import field
from pathlib import Path
from typing import IO, ClassVar

from dovetail.components import Capability, Job, RunningJob, RunningProcess, StepOperator
from dovetail.errors import ConfigurationError

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "DOVETAIL_HOME", "DOVETAIL_CACHE", "DOVETAIL_PLUGINS")


class LocalStepOperator(StepOperator):
    """The step is imported from the code that the run kept, by an interpreter that may be another environment's.

    So it runs as it would on another machine, which shows what would be missing there.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.REMOTE, Capability.PARALLEL, Capability.RETRIES, Capability.TIMEOUTS, Capability.ENVIRONMENT_VARIABLES}
    )

    python: Path = field(default=Path(sys.executable), metadata={"help": "Interpreter that has Dovetail and what the steps import; this one when not set."})
    variables: dict[str, str] = field(default_factory=dict, metadata={"help": "Environment variables for every process; few others are handed on."})

    def check(self) -> list[str]:
        if os.access(self.python, os.X_OK):
            return []
        return [f"Step operator '{self.name}': {self.python} is no program. Set `python` to an interpreter that has Dovetail."]

    def shares_folders(self) -> bool:
        return True

    def __post_init__(self) -> None:
        self._started: weakref.WeakValueDictionary[str, _ProcessInFolder] = weakref.WeakValueDictionary()

    def start(self, job: Job) -> RunningJob:
        if job.name in self._started:
            return self._started[job.name]
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environ = {**inherited, **self.variables, **job.variables, **job.credentials, **job.secrets}
        folder = tempfile.TemporaryDirectory(prefix="dovetail-step-")  # empty: Python imports from where it is started
        said = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process runs
        command = [str(self.python), *job.command]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environ, cwd=folder.name, start_new_session=True
            )
        except OSError as error:
            said.close()
            folder.cleanup()
            raise ConfigurationError(f"Step operator '{self.name}': {self.python} cannot be started: {error}") from error
        self._started[job.name] = running = _ProcessInFolder(process, said, folder)
        return running


class _ProcessInFolder(RunningProcess):
    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
        super().__init__(process, said)
        self._folder = folder

    def close(self) -> None:
        super().close()
        self._folder.cleanup()
