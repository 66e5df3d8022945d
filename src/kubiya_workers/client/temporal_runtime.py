"""The Temporal SDK's own machinery of this process, with its words in our log: one record, one line, redacted."""

import logging
import socket
from dataclasses import dataclass
from functools import cache

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

_LOGGER = logging.getLogger("temporalio.core")
_TRIES = 5


@dataclass(frozen=True)
class Measured:
    """A runtime that counts, and where it serves what it counted; None where it could not listen."""

    runtime: Runtime
    url: str | None


@cache
def runtime() -> Runtime:
    """The one that counts nothing and listens nowhere."""
    return Runtime(telemetry=TelemetryConfig(logging=_logging()))


@cache
def measured() -> Measured:
    """The one that serves Temporal's metrics on a free port of loopback, named by Prometheus' conventions."""
    for _ in range(_TRIES):
        address = f"127.0.0.1:{_free_port()}"
        try:
            counting = Runtime(telemetry=TelemetryConfig(logging=_logging(), metrics=_prometheus(address)))
        except ValueError:  # The SDK's word for a port that somebody else took meanwhile.
            continue
        return Measured(counting, f"http://{address}/metrics")
    return Measured(runtime(), None)


def _logging() -> LoggingConfig:
    """Only errors are forwarded: each attempt to reach a server that is away is a warning of its own, and what
    follows from it is said once, by us."""
    forwarding = LogForwardingConfig(logger=_LOGGER, append_log_fields_to_message=False)
    return LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"), forwarding=forwarding)


def _prometheus(address: str) -> PrometheusConfig:
    return PrometheusConfig(address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
