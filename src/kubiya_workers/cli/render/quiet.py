"""A run that is only waited for: its state on stderr, its answer not before it is whole."""

import click

from kubiya_workers.contracts.events import ApprovalRequested, Delta, Done, Fact, Marker, StatusChanged, ToolStarted

from . import words
from .neutral import neutral
from .screen import Screen


class Quiet:
    def __init__(self, screen: Screen, *, answer: bool) -> None:
        """`answer`: write the response to stdout when it is there; otherwise that is somebody else's business."""
        self._screen = screen
        self._answer = answer

    def event(self, event_id: str, event: Fact | Delta | Marker) -> None:
        match event:
            case StatusChanged():
                self._screen.status(
                    words.waiting(event.status, event.reason) or f"Execution is {event.status}",
                    lasting=not event.status.is_terminal,
                )
            case ApprovalRequested():
                wanted = f"‖ {neutral(event.tool_name)} waits for approval {neutral(event.approval_id)}"
                self._screen.line(wanted, "warn")
            case Done():
                self._screen.clear()
                if self._answer and event.response:
                    click.echo(neutral(event.response))
            case _:
                pass  # what happens on the way is not wanted here

    shows_members = True

    def member(self, started: ToolStarted, event: Fact | Delta | Marker) -> None:
        """What a member waits for, nobody else would tell."""
        if isinstance(event, ApprovalRequested):
            name = words.delegation(started)
            for tone, line in words.approval(event, str(started.member_execution_id)):
                self._screen.line(f"  {name} {line}", tone)

    def status(self, what: str) -> None:
        self._screen.status(what, lasting=True)

    def note(self, text: str) -> None:
        self._screen.line(text, "dim")

    def close(self) -> None:
        self._screen.clear()
