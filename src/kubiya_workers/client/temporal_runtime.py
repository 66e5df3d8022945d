"""The Temporal SDK's own machinery of this process, with its words in our log: one record, one line, redacted."""

import logging
from functools import cache

from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

_LOGGER = logging.getLogger("temporalio.core")


@cache
def runtime() -> Runtime:
    """Only its errors are forwarded: each attempt to reach a server that is away is a warning of its own, and what
    follows from it is said once, by us."""
    forwarding = LogForwardingConfig(logger=_LOGGER, append_log_fields_to_message=False)
    chosen = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=chosen, forwarding=forwarding)))
