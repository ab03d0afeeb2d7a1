"""A span for each run, below it one for each step, made of the events that observers are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from dovetail_opentelemetry.provider import parent, tracer

_GOOD = ("completed", "cached")
_BAD = ("failed", "interrupted")  # what was skipped or cancelled is neither


@dataclass
class _Open:
    """A run that goes on, and its steps that run. `tracer`: where spans went when the run began."""

    tracer: Tracer
    span: Span
    steps: dict[str, Span] = field(default_factory=dict)


class Spans:
    """Steps end in threads of their own, and several runs may go on at once."""

    def __init__(self) -> None:
        self._runs: dict[str, _Open] = {}
        self._lock = threading.Lock()

    def run_started(self, event: Mapping[str, Any]) -> None:
        given = tracer()  # asked for anew in each run: a program may set up OpenTelemetry after its first
        if given is None:
            return
        span = given.start_span(f"run {event['pipeline']}", parent(), attributes=_of_run(event))
        with self._lock:
            self._runs[event["run"]] = _Open(given, span)

    def step_started(self, event: Mapping[str, Any]) -> None:
        run = self._run(event)
        if run is not None:
            span = self._step_span(run, event)
            with self._lock:
                run.steps[event["step"]] = span

    def step_retried(self, event: Mapping[str, Any]) -> None:
        run = self._run(event)
        span = run.steps.get(event["step"]) if run is not None else None
        if span is not None:
            span.add_event("retry", {"dovetail.step.attempt": event["attempt"], "dovetail.step.error": str(event["error"])})

    def step_finished(self, event: Mapping[str, Any]) -> None:
        """Cached and skipped steps never started; theirs are spans all the same, so that a trace shows the whole pipeline."""
        run = self._run(event)
        if run is None:
            return
        with self._lock:
            span = run.steps.pop(event["step"], None)
        if span is None:
            span = self._step_span(run, event, time.time_ns() - int(event["seconds"] * 1e9))
        span.set_attributes({"dovetail.step.status": event["status"], "dovetail.step.attempt": event["attempt"]})
        if event.get("why"):
            span.set_attribute("dovetail.step.why", event["why"])
        _end(span, event)

    def run_finished(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            run = self._runs.pop(event["run"], None)
        if run is None:
            return
        for span in run.steps.values():  # of which no end was told
            span.end()
        run.span.set_attribute("dovetail.run.status", event["status"])
        _end(run.span, event)

    def _run(self, event: Mapping[str, Any]) -> _Open | None:
        with self._lock:
            return self._runs.get(event["run"])

    def _step_span(self, run: _Open, event: Mapping[str, Any], start: int | None = None) -> Span:
        attributes = {"dovetail.step": event["step"], "dovetail.pipeline": event["pipeline"], "dovetail.run.id": event["run"]}
        context = set_span_in_context(run.span)
        return run.tracer.start_span(f"step {event['step']}", context, attributes=attributes, start_time=start)


def _of_run(event: Mapping[str, Any]) -> dict[str, str]:
    said = {
        "dovetail.pipeline": event["pipeline"],
        "dovetail.run.id": event["run"],
        "dovetail.run.name": event["name"],
        "dovetail.stack": event["stack"],
        "dovetail.run.resumes": event.get("resumes"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _end(span: Span, event: Mapping[str, Any]) -> None:
    error = event.get("error")
    if error:
        kind, _, message = error.partition(": ")
        about = {"exception.type": kind, "exception.message": message} if kind.isidentifier() else {"exception.message": error}
        span.add_event("exception", about)
    if event["status"] in _BAD:
        span.set_status(Status(StatusCode.ERROR, error or event["status"]))
    elif event["status"] in _GOOD:
        span.set_status(Status(StatusCode.OK))
    span.end()
