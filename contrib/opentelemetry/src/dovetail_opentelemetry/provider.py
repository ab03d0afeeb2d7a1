"""Where spans go: to the program's own tracer provider, else to one made as the environment says."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Tracer, get_current_span, get_tracer_provider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_OTLP = "otlp_proto_http"


def tracer() -> Tracer | None:
    """None where neither the program nor the environment says where spans go."""
    given = get_tracer_provider()
    if isinstance(given, TracerProvider):
        return given.get_tracer("dovetail")
    names = _exporter_names(os.environ)
    return _own_provider(names).get_tracer("dovetail") if names else None


def parent(environ: Mapping[str, str] = os.environ) -> Context | None:
    """The trace that the run joins: the calling code's, else the one that `TRACEPARENT` names, as build servers set it."""
    if get_current_span().get_span_context().is_valid or "TRACEPARENT" not in environ:
        return None
    carrier = {name.lower(): environ[name] for name in ("TRACEPARENT", "TRACESTATE") if name in environ}
    return TraceContextTextMapPropagator().extract(carrier)


@functools.lru_cache(maxsize=1)
def _own_provider(exporter_names: tuple[str, ...]) -> TracerProvider:
    """One for this process; it exports what is left when the process ends."""
    named = os.environ.get("OTEL_SERVICE_NAME") or f"{SERVICE_NAME}=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {SERVICE_NAME: "dovetail"}))
    for exporter in map(_exporter, exporter_names):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those that `OTEL_TRACES_EXPORTER` names, by the entry points of OpenTelemetry's own; OTLP over HTTP where it names none."""
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    said = environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "")
    return tuple(_OTLP if name == "otlp" else name for name in map(str.strip, said.split(",")) if name)


def _exporter(name: str) -> SpanExporter:
    found = {each.name: each for each in entry_points(group="opentelemetry_traces_exporter")}
    if name not in found:
        raise ValueError(f"OTEL_TRACES_EXPORTER names '{name}', and installed are {', '.join(sorted(found))}. Name one of these, or install it.")
    made: Any = found[name].load()()
    exporter: SpanExporter = made
    return exporter
