"""Spans and metrics through the API package of OpenTelemetry, which is an extra: `clinia-async[otel]`.

Loaded only where the program has loaded that package itself, or asks for it. HTTP attributes follow the
semantic conventions for clients; durations are in seconds.
"""

from contextlib import AbstractContextManager

from attrs import define, field
from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import SpanKind, StatusCode

from clinia_async.errors import CliniaError
from clinia_async.telemetry.dispatch import Span
from clinia_async.telemetry.event import Event
from clinia_async.telemetry.events import RecordFailed, RequestEnded, RetryScheduled, TaskEnded

_SCOPE = "clinia_async"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds: those that the conventions advise for `http.client.request.duration`."""

Attribute = str | bool | int | float


def has_provider() -> bool:
    """Whether the program has set a provider of spans, to which somebody listens."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


@define(eq=False)
class OpenTelemetrySpan:
    span: trace.Span

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(self.span))
        return carrier

    def note(self, **attributes: object) -> None:
        self.span.set_attributes(_attributes(attributes))

    def end(self, error: BaseException | None = None) -> None:
        if error is not None:
            # no text of the error: a caller's error may hold anything
            self.span.set_attribute("error.type", type(error).__name__)
            if isinstance(error, CliniaError):
                self.span.set_attribute("clinia.outcome", str(error.outcome))
            self.span.set_status(StatusCode.ERROR)
        self.span.end()


@define(eq=False)
class OpenTelemetryTracer:
    """Spans and metrics of one session."""

    _tracer: trace.Tracer = field(factory=lambda: trace.get_tracer(_SCOPE))
    _request: metrics.Histogram = field(init=False)
    _task: metrics.Histogram = field(init=False)
    _retries: metrics.Counter = field(init=False)
    _failed: metrics.Counter = field(init=False)

    def __attrs_post_init__(self) -> None:
        meter = metrics.get_meter(_SCOPE)
        self._request = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=list(_BUCKETS),
        )
        self._task = meter.create_histogram(
            "clinia.task.duration",
            unit="s",
            description="Time from the acceptance of a task to its seen end.",
        )
        self._retries = meter.create_counter(
            "clinia.retries", unit="{retry}", description="Requests sent again."
        )
        self._failed = meter.create_counter(
            "clinia.ingest.records.failed", unit="{record}", description="Records that did not land."
        )

    def start(self, name: str, **attributes: object) -> OpenTelemetrySpan:
        given = _attributes(attributes)
        kind = SpanKind.CLIENT if "http.request.method" in given else SpanKind.INTERNAL
        return OpenTelemetrySpan(self._tracer.start_span(name, kind=kind, attributes=given))

    def current(self, span: Span) -> AbstractContextManager[object]:
        assert isinstance(span, OpenTelemetrySpan)
        return trace.use_span(
            span.span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def record(self, event: Event) -> None:
        if isinstance(event, RequestEnded):
            named = {"http.request.method": event.method, "url.template": event.route}
            if event.status is not None:
                named["http.response.status_code"] = event.status  # type: ignore[assignment]
            if event.error is not None:
                named["error.type"] = event.error
            self._request.record(event.seconds, named)
        elif isinstance(event, TaskEnded):
            self._task.record(
                event.seconds, {"clinia.task.kind": str(event.kind), "clinia.task.status": str(event.status)}
            )
        elif isinstance(event, RetryScheduled):
            self._retries.add(1, {"http.request.method": event.method, "url.template": event.route})
        elif isinstance(event, RecordFailed):
            self._failed.add(1, {"clinia.disposition": event.disposition})


def _attributes(given: dict[str, object]) -> dict[str, Attribute]:
    """Names of keyword arguments with `__` for dots, and values that a span can hold."""
    named = {name.replace("__", "."): value for name, value in given.items() if value is not None}
    return {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in named.items()
    }
