"""Traces and logs. One run is one trace: its context travels in the headers of every fact.

Trace context is always carried; spans are made and exported only when the standard `OTEL_*`
variables name an exporter (`OTEL_TRACES_EXPORTER=otlp` or an `OTEL_EXPORTER_OTLP_*ENDPOINT`).
The first fact of a run roots its trace in the run's own id, so the trace can be found from it.
"""

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import Span, Status, StatusCode

_TRACER: Final = "rung"
_CONTEXT: Final = ("run", "fact", "cause", "phase", "attempt")


def root_traceparent(run: str) -> str:
    """W3C trace context for the start of a run: the trace id is the run's."""
    trace_id = hashlib.sha256(run.encode()).hexdigest()[:32] if len(run) != 36 else run.replace("-", "")
    return f"00-{trace_id}-{hashlib.sha256(run.encode()).hexdigest()[:16]}-01"


def child_traceparent(parent: str | None) -> str | None:
    """The context of the current span where one is recorded, else the parent's, unchanged."""
    if not trace.get_current_span().get_span_context().is_valid:
        return parent
    carrier: dict[str, str] = {}
    get_global_textmap().inject(carrier)
    return carrier.get("traceparent", parent)


@contextmanager
def span(name: str, *, parent: str | None, **attributes: str | int) -> Iterator[Span]:
    """A span below the given trace context; an exception marks it as failed and goes on."""
    context = get_global_textmap().extract({"traceparent": parent} if parent else {})
    marks = {f"rung.{key}": value for key, value in attributes.items()}
    with trace.get_tracer(_TRACER).start_as_current_span(name, context=context, attributes=marks) as current:
        yield current


def mark_failed(current: Span, message: str) -> None:
    current.set_status(Status(StatusCode.ERROR, message))


def is_tracing_wanted(environment: dict[str, str]) -> bool:
    """Whether the standard variables ask for spans to be exported."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter not in ("", "none") or (exporter != "none" and any(environment.get(name) for name in endpoints))


def start_tracing(service: str) -> None:
    """Install the exporter that the `OTEL_*` variables ask for; nothing where they ask for none."""
    if not is_tracing_wanted(dict(os.environ)):
        return
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the SDK is loaded only when asked for
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": f"rung-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    trace.set_tracer_provider(provider)


def stop_tracing() -> None:
    """Hand over what was recorded before the process ends."""
    provider = trace.get_tracer_provider()
    if callable(shutdown := getattr(provider, "shutdown", None)):
        shutdown()


def _exporter() -> Any:
    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        return ConsoleSpanExporter(out=sys.stderr)
    try:
        module = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError as missing:
        raise SystemExit("OTEL_* asks for OTLP export; install it with: pip install 'rung[otlp]'") from missing
    return module.OTLPSpanExporter()


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, service, message, and the ids of run, fact and cause."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "message": record.getMessage(),
            **{key: value for key in _CONTEXT if (value := getattr(record, key, None)) is not None},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_logging(service: str, level: str = "INFO") -> None:
    """Structured lines on standard error for everything that the process logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("faststream").setLevel(logging.WARNING)
