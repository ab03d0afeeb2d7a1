"""What a trace shows of a run, read from the SDK's own exporter in memory."""

from __future__ import annotations

from typing import Any

import pytest
from dovetail import Retry, RunFailed, pipeline, step, when
from dovetail.testing import in_memory
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

_attempts: list[int] = []


@step
def numbers(count: int = 3) -> list[int]:
    return list(range(count))


@step
def total(numbers: list[int]) -> int:
    return sum(numbers)


@step
def doubled(number: int) -> int:
    return 2 * number


@step
def breaks(number: int = 0) -> int:
    raise ValueError("no rows: none")


@step(retry=Retry(max_retries=2, delay=0), enable_cache=False)
def flaky() -> int:
    _attempts.append(1)
    if len(_attempts) < 3:
        raise ConnectionError(f"attempt {len(_attempts)}")
    return 1


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def test_a_run_is_a_span_with_a_child_for_each_step(spans: InMemorySpanExporter) -> None:
    @pipeline
    def adding() -> None:
        total(numbers())

    with in_memory():
        run = adding()
    found = by_name(spans)
    assert set(found) == {"run adding", "step numbers", "step total"}
    root = found["run adding"]
    assert root.parent is None
    assert {found[name].parent.span_id for name in ("step numbers", "step total")} == {root.context.span_id}
    assert dict(root.attributes) == {
        "dovetail.pipeline": "adding",
        "dovetail.run.id": run.id,
        "dovetail.run.name": run.name,
        "dovetail.stack": "test",
        "dovetail.run.status": "completed",
    }
    assert found["step total"].attributes["dovetail.step.status"] == "completed"
    assert {span.status.status_code for span in found.values()} == {StatusCode.OK}
    assert root.start_time <= found["step numbers"].start_time <= found["step numbers"].end_time <= found["step total"].start_time
    assert found["step total"].end_time <= root.end_time


def test_a_failed_step_says_why_and_what_follows_is_shown_as_skipped(spans: InMemorySpanExporter) -> None:
    @pipeline
    def failing() -> None:
        doubled(breaks())

    with in_memory(), pytest.raises(RunFailed):
        failing()
    found = by_name(spans)
    failed = found["step breaks"]
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "ValueError: no rows: none")
    assert [(event.name, dict(event.attributes)) for event in failed.events] == [
        ("exception", {"exception.type": "ValueError", "exception.message": "no rows: none"})
    ]
    assert (found["run failing"].status.status_code, found["run failing"].attributes["dovetail.run.status"]) == (StatusCode.ERROR, "failed")
    skipped = found["step doubled"]
    assert (skipped.status.status_code, skipped.attributes["dovetail.step.status"]) == (StatusCode.UNSET, "skipped")
    assert skipped.attributes["dovetail.step.why"] == "step 'breaks' failed"


def test_each_retry_is_an_event_of_its_step(spans: InMemorySpanExporter) -> None:
    @pipeline
    def trying() -> None:
        flaky()

    _attempts.clear()
    with in_memory():
        trying()
    span = by_name(spans)["step flaky"]
    assert [(event.name, dict(event.attributes)) for event in span.events] == [
        ("retry", {"dovetail.step.attempt": 2, "dovetail.step.error": "attempt 1"}),
        ("retry", {"dovetail.step.attempt": 3, "dovetail.step.error": "attempt 2"}),
    ]
    assert (span.status.status_code, span.attributes["dovetail.step.attempt"]) == (StatusCode.OK, 3)


def test_a_cached_run_is_a_trace_too(spans: InMemorySpanExporter) -> None:
    @pipeline
    def adding() -> None:
        total(numbers())

    with in_memory():
        adding()
        spans.clear()
        adding()
    found = by_name(spans)
    assert {name: span.attributes.get("dovetail.step.status") for name, span in found.items()} == {
        "run adding": None,
        "step numbers": "cached",
        "step total": "cached",
    }
    assert {span.context.trace_id for span in found.values()} == {found["run adding"].context.trace_id}


def test_mapped_and_conditional_steps_have_spans_of_their_own(spans: InMemorySpanExporter) -> None:
    @pipeline
    def mapping() -> None:
        made = numbers()
        total(doubled.map(made))
        with when(total.with_options(id="sum")(made) > 100):
            numbers.with_options(id="never")()

    with in_memory():
        mapping()
    found = by_name(spans)
    assert {"step doubled", "step doubled.0", "step doubled.1", "step doubled.2"} <= set(found)
    assert found["step never"].attributes["dovetail.step.status"] == "skipped"
    assert found["step doubled"].start_time <= min(found[f"step doubled.{number}"].end_time for number in range(3))


def test_two_runs_are_two_traces(spans: InMemorySpanExporter) -> None:
    @pipeline
    def first() -> None:
        numbers()

    @pipeline
    def second() -> None:
        numbers(count=4)

    with in_memory():
        first()
        second()
    found = by_name(spans)
    assert found["run first"].context.trace_id != found["run second"].context.trace_id


def test_a_run_joins_the_trace_of_the_code_that_calls_it(spans: InMemorySpanExporter) -> None:
    @pipeline
    def adding() -> None:
        numbers()

    with in_memory(), trace.get_tracer("program").start_as_current_span("program") as outer:
        adding()
    assert by_name(spans)["run adding"].parent.span_id == outer.get_span_context().span_id


def test_a_run_joins_the_trace_that_its_surroundings_name(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    @pipeline
    def adding() -> None:
        numbers()

    monkeypatch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    with in_memory():
        adding()
    found = by_name(spans)["run adding"]
    assert f"{found.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{found.parent.span_id:016x}" == "b7ad6b7169203331"


def test_events_of_an_unknown_run_are_passed_over(spans: InMemorySpanExporter) -> None:
    from dovetail_opentelemetry.spans import Spans

    told: dict[str, Any] = {"run": "r", "name": "n", "pipeline": "p", "stack": "s", "step": "train", "status": "failed"}
    made = Spans()
    made.step_started(told)
    made.step_retried({**told, "attempt": 2, "error": "e"})
    made.step_finished({**told, "attempt": 2, "seconds": 1.0, "error": "e"})
    made.run_finished({**told, "seconds": 1.0, "error": None})
    assert spans.get_finished_spans() == ()


def test_a_step_of_which_no_end_is_told_ends_with_its_run(spans: InMemorySpanExporter) -> None:
    from dovetail_opentelemetry.spans import Spans

    told: dict[str, Any] = {"run": "r", "name": "n", "pipeline": "p", "stack": "s"}
    made = Spans()
    made.run_started({**told, "status": "running", "resumes": "earlier"})
    made.step_started({**told, "step": "train", "status": "running", "attempt": 1})
    made.run_finished({**told, "status": "interrupted", "seconds": 1.0, "error": None})
    found = by_name(spans)
    assert found["step train"].end_time is not None
    assert found["run p"].attributes["dovetail.run.resumes"] == "earlier"
    assert (found["run p"].status.status_code, found["run p"].status.description) == (StatusCode.ERROR, "interrupted")


