"""Real runs of the `dovetail` command: what a collector receives, and what a run without one pays."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from typing import Any

PIPELINE = """
from dovetail import pipeline, step

@step
def numbers() -> list[int]:
    return [1, 2]

@step
def total(numbers: list[int]) -> int:
    return sum(numbers)

@pipeline
def adding():
    total(numbers())
"""


@pytest.fixture
def program(isolated: Path) -> Path:
    (isolated / "adding.py").write_text(PIPELINE, encoding="utf-8")
    return isolated / "adding.py"


def run(program: Path, *, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [str(Path(sys.executable).with_name("dovetail")), "run", str(program)]
    return subprocess.run(command, env={**environ, **env}, capture_output=True, text=True, timeout=60, check=check)


def test_a_collector_receives_the_trace_of_a_run(program: Path, collector: Any) -> None:
    run(program, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    found = collector.spans()
    assert set(found) == {"run adding", "step numbers", "step total"}
    root = found["run adding"]
    assert {found[name].parent_span_id for name in ("step numbers", "step total")} == {root.span_id}
    assert {span.trace_id for span in found.values()} == {root.trace_id}
    attributes = {each.key: each.value.string_value for each in root.attributes}
    assert (attributes["dovetail.pipeline"], attributes["dovetail.run.status"]) == ("adding", "completed")
    assert collector.service_names() == {"dovetail"}


def test_the_settings_of_opentelemetry_hold(program: Path, collector: Any) -> None:
    run(program, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/custom", OTEL_SERVICE_NAME="nightly", OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
    assert {path for path, _ in collector.requests} == {"/custom"}
    assert collector.service_names() == {"nightly"}


@pytest.mark.parametrize("setting", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_it_can_be_switched_off(program: Path, collector: Any, setting: dict[str, str]) -> None:
    run(program, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **setting)
    assert collector.requests == []


def test_spans_can_go_to_the_console(program: Path) -> None:
    assert '"name": "step total"' in run(program, OTEL_TRACES_EXPORTER="console").stdout


def test_a_collector_that_is_not_there_delays_a_run_no_longer_than_its_timeout(program: Path) -> None:
    began = time.monotonic()
    done = run(program, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="2")
    assert done.returncode == 0
    assert time.monotonic() - began < 15


def test_an_exporter_that_is_not_installed_is_named_and_fails_no_run(program: Path) -> None:
    done = run(program, OTEL_TRACES_EXPORTER="carrier-pigeon")
    assert done.returncode == 0
    assert "OTEL_TRACES_EXPORTER names 'carrier-pigeon', and installed are console, " in done.stderr


def test_nothing_of_opentelemetry_is_imported_where_it_is_not_set_up(program: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(program.parent)!r}); import adding; adding.adding(); print([n for n in sys.modules if 'opentelemetry' in n])"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "['dovetail_opentelemetry']"


def test_a_program_that_sets_up_opentelemetry_after_its_first_run_gets_spans_of_the_next(program: Path) -> None:
    script = """
        import opentelemetry.sdk.trace as sdk  # as a library may have that the program imports
        from adding import adding
        from opentelemetry import trace
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        adding()
        kept = InMemorySpanExporter()
        provider = sdk.TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(kept))
        trace.set_tracer_provider(provider)
        adding()
        print(sorted(span.name for span in kept.get_finished_spans()))
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=program.parent, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "['run adding', 'step numbers', 'step total']"
