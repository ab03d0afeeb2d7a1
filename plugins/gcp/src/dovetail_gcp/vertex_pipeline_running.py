"""A PipelineJob of Vertex AI while it runs, and what its end tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dovetail_gcp.vertex_running import RunningCustomJob, is_image_problem, is_memory_problem, unpulled

_ENDED = {"PIPELINE_STATE_SUCCEEDED": 0, "PIPELINE_STATE_FAILED": 1, "PIPELINE_STATE_CANCELLED": 143}
_SHOWN = 3  # failed tasks that are told of


class RunningPipeline(RunningCustomJob):
    """`found`: the PipelineJob as the service gave it."""

    @property
    def address(self) -> str:
        return f"{self._name} ({self._at.console(f'locations/{self._at.location}/pipelines/runs/{self.number}')})"

    def _code(self) -> int | None:
        return -1 if self._gone else _ENDED.get(str(self._found.get("state")))

    def explain(self) -> str:
        if "state" not in self._found:  # it was found by its address, and not looked at yet
            self._look()
        if self._gone:
            return "Its job has been deleted."
        problem = " ".join(self._problem().split()).rstrip(".")
        told = [f"{problem}." if problem else "", *self._failed_tasks()]
        return " ".join(part for part in told if part)

    def _failed_tasks(self) -> Iterator[str]:
        tasks = (self._found.get("jobDetail") or {}).get("taskDetails", ())
        failed = [task for task in tasks if task.get("state") == "FAILED" and "containerDetail" in task.get("executorDetail", {})]
        for task in failed[:_SHOWN]:
            name = str(task.get("taskName", ""))
            problem = " ".join(str((task.get("error") or {}).get("message", "")).split()).rstrip(".")
            said = self._log_of(task["executorDetail"]["containerDetail"].get("mainJob", ""))
            what = f"Task '{name}' failed{f': {problem}' if problem else ''}."
            yield " ".join(part for part in (what, self._cure_of(problem, name), f"It said last:\n{said}" if said else "") if part)

    def _cure_of(self, problem: str, task: str) -> str:
        if is_memory_problem(problem):
            return "Ask for more: Resources(memory=…)."
        if is_image_problem(problem):
            return unpulled(self._image_of(task), self._at.project_id())
        return ""

    def _image_of(self, task: str) -> str:
        executors: Mapping[str, Any] = self._found.get("pipelineSpec", {}).get("deploymentSpec", {}).get("executors", {})
        return str(executors.get(f"exec-{task}", {}).get("container", {}).get("image", ""))

    def _log_of(self, job: str) -> str:
        """The end of what the CustomJob said that a task was run by."""
        return RunningCustomJob(self._at, {"name": job}, self._every)._log() if job else ""
