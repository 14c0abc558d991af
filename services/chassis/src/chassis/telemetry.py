"""Logs, traces and the names of their fields.

Logs are structlog: a constant event text, data in fields, one JSON line each (in colour on a terminal).
Traces are OpenTelemetry, made only when OTEL_EXPORTER_OTLP_ENDPOINT names a collector to send them to.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import stamina.instrumentation
import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.config import ServiceConfig

STREAM = "weir.stream"
RENDITION = "weir.rendition"
MSN = "weir.msn"
RECORDING = "weir.recording"
JOB = "weir.job"
TASK = "weir.task"

log: structlog.stdlib.BoundLogger = structlog.get_logger()
tracer = trace.get_tracer("weir")
_trace_context = TraceContextTextMapPropagator()  # without baggage: reading it takes the square of its length


def set_up(service: str, config: ServiceConfig) -> None:
    """Configure logs and traces of this process; to be called once, before anything logs."""
    _set_up_logs(service, config)
    stamina.instrumentation.set_on_retry_hooks(())  # whoever repeats something says so itself
    if config.otlp_endpoint:
        provider = TracerProvider(resource=Resource.create({"service.name": service}))
        exporter = OTLPSpanExporter(endpoint=f"{config.otlp_endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)


def shut_down() -> None:
    """Deliver the spans that are still held."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


class Seldom:
    """Warns of something now and then, however often it happens, and tells how often it did."""

    def __init__(self, interval_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._due_time = -math.inf
        self._count = 0

    def warn(self, event: str, **fields: Any) -> None:
        """Count one more, and log it with the `times` since the last line, unless that was just now."""
        now = self._clock()
        if now > self._due_time + self._interval_s:
            self._count = 0  # of a time that is long over
        self._count += 1
        if now < self._due_time:
            return
        self._due_time = now + self._interval_s
        log.warning(event, times=self._count, **fields)
        self._count = 0


def trace_headers() -> dict[str, str]:
    """Write the current trace context as headers, for a message to another process."""
    headers: dict[str, str] = {}
    _trace_context.inject(headers)
    return headers


def trace_context(headers: dict[str, str] | None) -> Any:
    """Read a trace context from the headers of a message; pass it as `context` when a span is started."""
    return _trace_context.extract(headers or {})


def _set_up_logs(service: str, config: ServiceConfig) -> None:
    console = config.log_format == "console" or (config.log_format == "auto" and sys.stdout.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_trace,
            structlog.processors.format_exc_info if not console else _unchanged,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(config.log_level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def _with_trace(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


def _unchanged(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return event
