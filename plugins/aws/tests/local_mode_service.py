"""SageMaker's pipelines on loopback, carried out by the local mode of SageMaker's own SDK: one step after the other, and none after a failure."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_pipelines import CONFIGURATION
from pipelines_service import Execution, PipelineService
from sagemaker_service import REGION

_ENDS_WITHIN = 20.0


def missing() -> str | None:
    """Why there is no local mode here."""
    if importlib.util.find_spec("sagemaker") is None:
        return "the SDK `sagemaker<3` is not installed, whose local mode runs pipelines"
    if shutil.which("docker-compose") is None or shutil.which("docker") is None:
        return "docker-compose is not installed (`apt-get install docker-compose`), by which SageMaker's local mode starts containers"
    return None


class LocalModeService(PipelineService):
    def __init__(self, moto: int, engine: Any, volumes: Any) -> None:
        super().__init__(moto, engine, volumes)
        self._process: subprocess.Popen[str] | None = None
        self._one_by_one = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="dovetail-local-mode-"))

    def carry_out(self, execution: Execution) -> None:
        steps = {step.name: step for step in execution.steps}
        for step in execution.steps:
            step.attempts = 1
        with self._one_by_one:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(self._asked(execution)) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                told = json.loads(line)
                if "ended" in told:
                    execution.status = told["ended"]
                    self.logs[execution.arn] = [told.get("why", "")]
                    return
                steps[told["step"]].status, steps[told["step"]].failure = told["status"], told.get("failure", "")
        execution.status = "Stopped"

    def StopPipelineExecution(self, request: dict[str, Any]) -> dict[str, Any]:
        told = super().StopPipelineExecution(request)
        self._end()
        return told

    def _asked(self, execution: Execution) -> dict[str, Any]:
        role = self.pipelines[execution.request["PipelineName"]][-1]["RoleArn"]
        variables = {"AWS_REGION": REGION, "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url}
        return {"definition": json.loads(execution.definition), "bucket": "trial", "role": role, "volumes": self._volumes, "environment": variables}

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._let_go()
            configuration = self._folder / "configuration.yaml"
            configuration.write_text(CONFIGURATION)
            kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            variables = {
                **kept, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret-8f3a", "AWS_DEFAULT_REGION": REGION,
                "AWS_ENDPOINT_URL": self.url, "DOCKER_HOST": self._engine.host, "SAGEMAKER_USER_CONFIG_OVERRIDE": str(configuration),
                "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(configuration), "SAGEMAKER_SUPPRESS_V2_WARNING": "1", "TMPDIR": str(self._folder),
            }  # fmt: skip
            with (self._folder / "said").open("a") as said_there:
                self._process = subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("local_pipelines.py"))], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=said_there, text=True, start_new_session=True,
                )  # fmt: skip
        return self._process

    def _let_go(self) -> None:
        for stream in (self._process.stdin, self._process.stdout) if self._process is not None else ():
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _end(self) -> None:
        """And the containers with it, which docker-compose stops when it is asked to end."""
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for container in self._engine.client().containers.list():
            if "com.docker.compose.project" in container.labels:
                container.remove(force=True)

    def close(self) -> None:
        self._end()
        with self._one_by_one:
            self._let_go()
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)
