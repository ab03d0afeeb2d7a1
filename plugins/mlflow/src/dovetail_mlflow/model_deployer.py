"""Serves models by `mlflow models serve` on this machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.components import Deployment, ProcessModelDeployer
from dovetail.errors import DeploymentError

if TYPE_CHECKING:
    from dovetail.components.serving.folder import ServingFolder

SERVING = "DOVETAIL_MLFLOW_SERVING"  # set in processes that a deployer started, which have a group of their own
_OF_THE_CALLER = ("MLFLOW_TRACKING", "MLFLOW_REGISTRY", "MLFLOW_RUN_ID")


class MlflowModelDeployer(ProcessModelDeployer):
    """A deployment answers as MLflow's scoring server does: `POST /invocations`, `GET /health`. It asks for no token.

    The server is a process of its own that goes on after the client has ended; it runs in this environment (`--env-manager
    local`). `predict` keeps types: frames, arrays and dates reach the model as they are. `replicas` are its workers.
    """

    shown_lines: ClassVar[int] = 60  # a traceback through MLflow's frames is long

    host: str = field(default="127.0.0.1", metadata={"help": "Address to listen at; MLflow's server lets everybody in who reaches it."})
    startup_timeout: float = field(default=180.0, metadata={"help": "Seconds until the model must be loaded and served."})

    def check(self) -> list[str]:
        problems = super().check()
        if shutil.which("bash") is None:
            problems.append("The model deployer 'mlflow' runs `mlflow models serve`, which needs bash. Install it.")
        return problems

    def command(self, deployment: Deployment, folder: ServingFolder, host: str, port: int) -> Sequence[str]:
        from dovetail_mlflow.flavors import Payload, save_for_serving

        payload = Payload(
            deployment.name, deployment.model, deployment.materializer, deployment.type, deployment.materializers, deployment.trusted
        )
        save_for_serving(payload, folder.path / "model")
        return [
            sys.executable, "-m", "dovetail_mlflow.models_command", "serve", "--model-uri", str(folder.path / "model"),
            "--host", host, "--port", str(port), "--env-manager", "local",
            "--workers", str(deployment.replicas), "--timeout", str(max(1, int(self.request_timeout))),
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """MLflow starts its server by a shell, which finds it on PATH; where the caller's MLflow is, is not the server's business."""
        given = {name: value for name, value in super().environment().items() if not name.startswith(_OF_THE_CALLER)}
        path = os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)])
        return {**given, "PATH": path, SERVING: "1"}

    def healthy(self, handle: Mapping[str, Any], timeout: float) -> bool:
        from dovetail.components.serving.client import answers

        return answers(handle["url"], "/ping", timeout)

    def ask(self, handle: Mapping[str, Any], message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        from dovetail.components.serving.client import ask

        name = f"Deployment '{handle['name']}'"
        sent = {"instances": [0], "params": {"message": json.dumps(message)}}
        status, answer = ask(handle["url"], "/invocations", sent, "", timeout)
        if status != 200:
            raise DeploymentError(f"{name} refused the request ({status}): {answer.get('message', answer)}")
        told: dict[str, Any] = json.loads(answer["predictions"][0])
        if "error" in told:
            raise DeploymentError(f"{name} refused the request: {told['error']}")
        return told
