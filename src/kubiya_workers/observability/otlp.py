"""Spans to a collector, by OTLP over HTTP. Importing this loads OpenTelemetry: only whoever exports does.

The address, headers, certificates, time-out and resource come from the standard's own variables
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/), which its exporter reads itself.
"""

from collections.abc import Sequence
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import kubiya_workers

from .traces import Moment, Span

_SERVICE = "kubiya-control-plane"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Exporter:
    def __init__(self) -> None:
        known = {"service.name": _SERVICE, "service.version": kubiya_workers.__version__}
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins over ours.
        self._resource = Resource(known).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("kubiya-workers", kubiya_workers.__version__)
        self._exporter = OTLPSpanExporter()

    def export(self, spans: Sequence[Span]) -> bool:
        """Whether the collector has them. Blocks, for the exporter's own time-out at most."""
        return self._exporter.export([self._readable(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        self._exporter.shutdown()

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id is not None else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            events=[_event(moment) for moment in span.moments],
            links=[Link(_context(*span.linked))] if span.linked else [],
            kind=SpanKind.CLIENT if span.client else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(span.end),
            instrumentation_scope=self._scope,
        )


def _context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, is_remote=False, trace_flags=_SAMPLED)


def _event(moment: Moment) -> Event:
    return Event(moment.name, dict(moment.attributes), _nanoseconds(moment.at))


def _nanoseconds(at: datetime) -> int:
    """Since 1970, without a float's error."""
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000
