"""A member's run as lines beneath that of its team, each with the member's name before it."""

from collections.abc import Iterator

from kubiya_workers.client.events import Supersede
from kubiya_workers.contracts.events import (
    ApprovalRequested,
    ApprovalResolved,
    Degraded,
    Delta,
    Fact,
    Marker,
    MessageAdded,
    StatusChanged,
    ToolCompleted,
    ToolStarted,
)
from kubiya_workers.contracts.executions import Status

from . import words
from .neutral import neutral, one_line


class MemberLines:
    """Keeps what it must of one member's run. Its answer is its team's to tell: the output of the call that asked."""

    def __init__(self, name: str, execution_id: str) -> None:
        self._name = one_line(name, 40)
        self._execution_id = execution_id
        self._attempts = Supersede()
        self._calls: dict[str, ToolStarted] = {}

    def of(self, event: Fact | Delta | Marker) -> Iterator[tuple[words.Tone, str]]:
        """The lines of an event; none for what would only be noise beside the team's own run."""
        if self._attempts.keep(event):
            for tone, line in self._lines(event):
                yield tone, f"  {self._name} {line}"

    def _lines(self, event: Fact | Delta | Marker) -> Iterator[tuple[words.Tone, str]]:
        match event:
            case ToolStarted():
                self._calls[event.tool_execution_id] = event
            case ToolCompleted():
                yield words.completed(event, self._calls.pop(event.tool_execution_id, None))
            case MessageAdded(role="assistant") if event.content and event.tool_calls:
                yield "dim", one_line(event.content)
            case ApprovalRequested():
                yield from words.approval(event, self._execution_id)
            case ApprovalResolved():
                yield "plain", words.resolution(event)
            case StatusChanged(status=Status.PAUSED):
                yield "plain", words.waiting(event.status, event.reason) or event.status
            case Degraded():
                yield "warn", f"! {neutral(event.reason)}"
            case _:
                return
