"""Observes runs and writes a span for each of them and for each of their steps, where OpenTelemetry is set up."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dovetail.plugin import hookimpl

if TYPE_CHECKING:
    from dovetail_opentelemetry.spans import Spans

_SET_UP = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")


@hookimpl
def dovetail_run_started(event: Mapping[str, Any]) -> None:
    if _is_wanted():
        _spans().run_started(event)


@hookimpl
def dovetail_step_started(event: Mapping[str, Any]) -> None:
    if _is_wanted():
        _spans().step_started(event)


@hookimpl
def dovetail_step_retried(event: Mapping[str, Any]) -> None:
    if _is_wanted():
        _spans().step_retried(event)


@hookimpl
def dovetail_step_finished(event: Mapping[str, Any]) -> None:
    if _is_wanted():
        _spans().step_finished(event)


@hookimpl
def dovetail_run_finished(event: Mapping[str, Any]) -> None:
    if _is_wanted():
        _spans().run_finished(event)


def _is_wanted() -> bool:
    """Whether the environment says where spans go, or the program has set up OpenTelemetry itself; told without importing it."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(os.environ.get(name) for name in _SET_UP) or "opentelemetry.sdk.trace" in sys.modules


@functools.lru_cache(maxsize=1)
def _spans() -> Spans:
    from dovetail_opentelemetry.spans import Spans

    return Spans()
