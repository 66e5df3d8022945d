"""Runs that are followed side by side: what each does as lines with its name, its answer when that is whole."""

from collections.abc import Callable
from datetime import datetime

import click

from kubiya_workers.contracts.events import (
    ApprovalRequested,
    Delta,
    Done,
    Fact,
    Marker,
    StatusChanged,
    ToolCompleted,
    ToolStarted,
)

from . import words
from .lines import JsonLines
from .members import MemberLines
from .neutral import neutral
from .renderer import Renderer
from .screen import Screen

Lanes = Callable[[str, str], Renderer]
"""What shows one of the runs, by its name and the id of its execution."""


def json_lanes(name: str, execution_id: str) -> Renderer:
    """Every event as a line that says of which run it is."""
    return JsonLines(also={"queue": name, "execution_id": execution_id})


def text_lanes(screen: Screen, *, work: bool, answers: bool) -> Lanes:
    """`work`: also what is done on the way. `answers`: each on stdout, beneath its name as `head` has it."""
    return lambda name, execution_id: Lane(screen, name, execution_id, work=work, answer=answers)


class Lane:
    """One run. What it waits for, and for whom, is told in any case."""

    shows_members = True

    def __init__(self, screen: Screen, name: str, execution_id: str, *, work: bool, answer: bool) -> None:
        self._screen = screen
        self._name = name
        self._work = work
        self._answer = answer
        self._lines = MemberLines(name, execution_id)
        self._members: dict[str, MemberLines] = {}
        self._waits: str | None = None
        self._tool_calls = 0
        self._began: datetime | None = None

    def event(self, event_id: str, event: Fact | Delta | Marker) -> None:
        self._told(self._lines, event)
        match event:
            case ToolCompleted():
                self._tool_calls += 1
            case StatusChanged():
                self._status_changed(event)
            case Done():
                self._done(event)
            case _:
                pass  # what is worth a line has one

    def member(self, started: ToolStarted, event: Fact | Delta | Marker) -> None:
        run = str(started.member_execution_id)
        name = f"{self._name}/{words.delegation(started)}"
        self._told(self._members.setdefault(run, MemberLines(name, run)), event)

    def status(self, what: str) -> None:
        self._screen.status(what, lasting=True)

    def note(self, text: str) -> None:
        self._screen.line(f"  {self._name} {text}", "dim")

    def close(self) -> None:
        """The screen is everybody's."""

    def _told(self, lines: MemberLines, event: Fact | Delta | Marker) -> None:
        for tone, line in lines.of(event):
            if self._work or isinstance(event, ApprovalRequested):
                self._screen.line(line, tone)

    def _status_changed(self, event: StatusChanged) -> None:
        self._began = self._began or event.timestamp
        before, self._waits = self._waits, words.waiting(event.status, event.reason)
        if self._waits is not None and self._waits != before:
            self.note(self._waits)

    def _done(self, event: Done) -> None:
        if self._work:
            took = (event.timestamp - self._began).total_seconds() if self._began else None
            tone, line = words.ending(event, took, self._tool_calls)
            self._screen.line(f"  {self._name} {line}", tone)
        if self._answer and event.response:
            self._screen.clear()
            click.echo(f"==> {self._name} <==\n{neutral(event.response).rstrip()}\n")
