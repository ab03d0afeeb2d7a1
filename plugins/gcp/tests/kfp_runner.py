"""Carries out pipelines by Kubeflow's own local runner, each task a container of a Docker engine.

    python kfp_runner.py

It is a process of its own, since that runner is one per process. For each pipeline it reads a line: {"id": …, "folder": …, "order": …,
"fail_fast": …, "volumes": […], "host": …}. FOLDER/spec.json is the pipeline. What happens comes as lines of JSON. Order `kfp`: all by kfp.local, which runs one task at a time and
stops at the first failure. Order `vertex`: kfp.local runs each task, and which and when is as Vertex AI does it: side by side, with the
pipeline's failure policy and retries. FOLDER/cancel ends it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_AT_ONCE = 4
_WAIT = 900  # seconds for one container
_REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_][A-Za-z0-9_]*)\))")


class Carried:
    """One pipeline."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = asked
        self._folder = Path(asked["folder"])
        self._spec = json.loads((self._folder / "spec.json").read_text())
        executors = self._spec["deploymentSpec"]["executors"]
        self._tasks = self._spec["root"]["dag"]["tasks"]
        self._containers = {name: executors[f"exec-{name}"]["container"] for name in self._tasks}
        self._by_command = {tuple([*each["command"], *each["args"]]): name for name, each in self._containers.items()}

    def carry_out(self) -> bool:
        from kfp import components, local
        from kfp.local import docker_task_handler

        docker_task_handler.run_docker_container = self._run
        local.init(runner=local.DockerRunner(), pipeline_root=str(self._folder / "root"), raise_on_error=True)
        pipeline = components.load_component_from_text(json.dumps(self._spec))
        if self._asked["order"] == "kfp":
            try:
                pipeline()
            except RuntimeError:
                return False
            return True
        return _Ordered(self._tasks, pipeline.pipeline_spec, self._folder, self._asked["fail_fast"]).carry_out()

    def _run(self, client: Any, image: str, command: list[str], volumes: Mapping[str, Any], **_: Any) -> int:
        """As kfp's, and with what it leaves out: environment, volumes, and the exit code of a container that ends at once."""
        task = self._by_command[tuple(command)]
        if (self._folder / "cancel").exists():
            return 143
        gpus = int(self._containers[task].get("resources", {}).get("accelerator", {}).get("count", 0))
        bound = [f"{place}:{each['bind']}:{each['mode']}" for place, each in volumes.items()]
        made = client.containers.create(
            image, command, environment=expanded(self._containers[task].get("env", ())), volumes=[*bound, *self._asked["volumes"]],
            network_mode="host", init=True, labels={"vertex": self._asked["id"]}, device_requests=[{"Count": gpus, "Capabilities": [["gpu"]]}] if gpus else None,
        )  # fmt: skip
        tell(self._asked["id"], task=task, state="RUNNING", container=made.id)
        code = _waited(made)
        tell(self._asked["id"], task=task, state="SUCCEEDED" if code == 0 else "FAILED", code=code)
        return code


def _waited(container: Any) -> int:
    """The exit code; 1 for one that the engine cannot start, such as without the GPU that it asks for."""
    from docker.errors import APIError

    try:
        container.start()
    except APIError:
        traceback.print_exc()
        return 1
    return int(container.wait(timeout=_WAIT)["StatusCode"])


class _Ordered:
    """The order as Vertex AI has it; each task is run by kfp.local."""

    def __init__(self, tasks: Mapping[str, Any], spec: Any, folder: Path, fail_fast: bool) -> None:
        from kfp.local import utils

        self._tasks, self._spec, self._folder, self._fail_fast = tasks, spec, folder, fail_fast
        self._executors = {name: utils.struct_to_executor_spec(each) for name, each in spec.deployment_spec["executors"].items()}
        self._ended: dict[str, bool] = {}
        self._begun: set[str] = set()
        self._changed = threading.Condition()

    def carry_out(self) -> bool:
        with self._changed:
            while True:
                for name in self._startable():
                    self._begun.add(name)
                    threading.Thread(target=self._attempts, args=(name,), daemon=True).start()
                if len(self._begun) == len(self._ended):
                    return len(self._ended) == len(self._tasks) and all(self._ended.values())
                self._changed.wait()

    def _startable(self) -> list[str]:
        if (self._folder / "cancel").exists() or (self._fail_fast and not all(self._ended.values())):
            return []
        ready = [
            name for name, task in self._tasks.items()
            if name not in self._begun and all(self._ended.get(before) for before in task.get("dependentTasks", ()))
        ]  # fmt: skip
        return ready[: _AT_ONCE - (len(self._begun) - len(self._ended))]

    def _attempts(self, name: str) -> None:
        done = False
        try:
            for _ in range(self._tasks[name].get("retryPolicy", {}).get("maxRetryCount", 0) + 1):
                done = done or (not (self._folder / "cancel").exists() and self._once(name))
        except Exception:
            traceback.print_exc()
        with self._changed:
            self._ended[name] = done
            self._changed.notify()

    def _once(self, name: str) -> bool:
        from kfp.local import config, io, status
        from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

        of_all = config.LocalExecutionConfig.instance
        _, ended = OrchestratorUtils.execute_single_task(
            task_name=name, task_spec=self._spec.root.dag.tasks[name], pipeline_resource_name="pipeline", executors=self._executors,
            components=dict(self._spec.components.items()), io_store=io.IOStore(), pipeline_root=of_all.pipeline_root, runner=of_all.runner,
            unique_pipeline_id="1", fail_stack=[],
        )  # fmt: skip
        return bool(ended == status.Status.SUCCESS)


def expanded(variables: Any) -> dict[str, str]:
    """The environment as the service makes it: `$(NAME)` is one of those before it, `$$` is `$`."""
    made: dict[str, str] = {}
    for each in variables:
        made[each["name"]] = _REFERENCE.sub(lambda found: "$" if found[0] == "$$" else made.get(found[1], found[0]), each["value"])
    return made


_telling = threading.Lock()
_out = os.dup(1)  # kfp prints what containers say


def tell(pipeline: str, **facts: Any) -> None:
    with _telling:
        os.write(_out, (json.dumps({"id": pipeline, **facts}) + "\n").encode())


def _carried_out(asked: Mapping[str, Any]) -> None:
    os.environ["DOCKER_HOST"] = asked["host"]
    said = os.open(Path(asked["folder"]) / "said", os.O_WRONLY | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    done = False
    try:
        done = Carried(asked).carry_out()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    tell(asked["id"], ended=done)


def main() -> None:
    from kfp import components, local  # noqa: F401  # once, for all that are forked from here
    from kfp.local.orchestrator import orchestrator_utils  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _carried_out(json.loads(line))
            os._exit(0)


if __name__ == "__main__":
    main()
