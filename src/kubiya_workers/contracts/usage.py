"""What model calls used and cost, summed up."""

from enum import StrEnum

from .messages import Usage
from .wire import Timestamp, Wire


class UsageBy(StrEnum):
    """What is summed up: calls of the same agent, of the same day (UTC), and so on."""

    AGENT = "agent"
    TEAM = "team"
    """Its members' calls among them."""
    MODEL = "model"
    WORKER = "worker"
    QUEUE = "queue"
    KEY = "key"
    DAY = "day"
    EXECUTION = "execution"
    STEP = "step"
    """The single calls of executions."""


class UsageSum(Wire):
    """`name` None: calls that came from nothing of the kind, as those of a program that calls the gateway itself."""

    name: str | None = None
    calls: int
    usage: Usage


class ModelCalls(Wire):
    """The calls to one model that ended; `upstream` is the server that was asked, where there are several.

    The percentiles are of how long the last completed ones took, None when none was.
    """

    model: str
    upstream: str | None = None
    calls: int
    errors: dict[str, int] = {}
    """Those that failed, by how."""
    given_up: int = 0
    """Those whose caller left before the end."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    last: Timestamp


class CallReport(Wire):
    """What one process has counted since it began."""

    since: Timestamp
    models: tuple[ModelCalls, ...] = ()
