"""What a worker posts to the event log of an execution, and what the log answers."""

from typing import Any

from .events import Delta, Fact, Marker, from_wire
from .ids import ExecutionId
from .problems import Problem
from .wire import Wire


class PostedEvent(Wire):
    """One event as it is posted: `data` in the same shape that readers get."""

    event_type: str
    data: dict[str, Any]
    timestamp: str | None = None

    def event(self) -> Fact | Delta | Marker | None:
        """The typed event, or None for a type that this version does not know."""
        stamped = self.data if self.timestamp is None else {"timestamp": self.timestamp, **self.data}
        return from_wire(self.event_type, stamped)


class PostedEvents(Wire):
    events: tuple[PostedEvent, ...]


class Appended(Wire):
    """The log's answer. Facts are durable by then.

    `behind` names parts whose chunk began past what the log holds, with the length it holds: resend from there.
    """

    accepted: int
    behind: dict[str, int] = {}


class PostedAppend(Wire):
    """The events of one execution among several that are posted together."""

    execution_id: ExecutionId
    events: tuple[PostedEvent, ...]


class PostedAppends(Wire):
    """What a worker has to say of all its executions at one moment: each append succeeds or fails by itself."""

    appends: tuple[PostedAppend, ...]


class AppendResult(Wire):
    """Either of the two."""

    appended: Appended | None = None
    problem: Problem | None = None


class AppendResults(Wire):
    """One result for each append, in their order."""

    results: tuple[AppendResult, ...]
