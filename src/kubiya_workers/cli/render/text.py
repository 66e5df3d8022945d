"""A run as text: the answer on stdout as it is written, everything else on stderr."""

import sys
from datetime import datetime
from typing import TextIO, assert_never

from kubiya_workers.client.events import Supersede
from kubiya_workers.contracts.events import (
    ApprovalRequested,
    ApprovalResolved,
    Connected,
    Degraded,
    Delta,
    Done,
    ErrorRaised,
    Fact,
    GapDetected,
    HistoryComplete,
    Marker,
    MessageAdded,
    MessageChunk,
    ModelStarted,
    ReasoningChunk,
    StatusChanged,
    ToolCompleted,
    ToolOutputChunk,
    ToolStarted,
    UsageReported,
)

from . import words
from .members import MemberLines
from .neutral import neutral
from .screen import Screen


class TextRenderer:
    """`past` is set while a stored log is shown: then the user's own messages are part of it."""

    def __init__(self, screen: Screen, *, verbose: bool = False, past: bool = False, out: TextIO | None = None) -> None:
        self._screen = screen
        self._verbose = verbose
        self._past = past
        self._answer = _Answer(out or sys.stdout)
        self._attempts = Supersede()
        self._calls: dict[str, ToolStarted] = {}
        self._streamed: set[str] = set()
        self._members: dict[str, MemberLines] = {}
        self._tool_calls = 0
        self._began: datetime | None = None

    def event(self, event_id: str, event: Fact | Delta | Marker) -> None:  # noqa: C901, PLR0912 - one case an event
        if self._stale(event):
            return
        match event:
            case MessageChunk():
                self._screen.clear()
                self._answer.chunk(event.message_id, event.offset, event.content)
            case ReasoningChunk():
                self._reasoning(event)
            case ToolOutputChunk():
                self._tool_output(event)
            case MessageAdded():
                self._message(event)
            case ToolStarted():
                self._tool_started(event)
            case ToolCompleted():
                self._tool_completed(event)
            case StatusChanged():
                self._status_changed(event)
            case ModelStarted():
                self._quiet_status(f"Thinking ({neutral(event.model)})")
            case ApprovalRequested():
                self._approval(event)
            case ApprovalResolved():
                self._line(words.resolution(event))
            case Degraded():
                self._line(f"! {neutral(event.reason)}", "warn")
            case Done():
                self._done(event)
            case ErrorRaised() | UsageReported() | Connected() | HistoryComplete() | GapDetected():
                pass  # said by `done`, or of no interest to a person
            case _:
                assert_never(event)

    shows_members = True

    def member(self, started: ToolStarted, event: Fact | Delta | Marker) -> None:
        name, run = words.delegation(started), str(started.member_execution_id)
        for tone, line in self._members.setdefault(run, MemberLines(name, run)).of(event):
            self._line(line, tone)

    def status(self, what: str) -> None:
        self._answer.end()
        self._screen.status(what, lasting=True)

    def note(self, text: str) -> None:
        self._line(text, "dim")

    def close(self) -> None:
        self._answer.end()
        self._screen.clear()

    def _stale(self, event: Fact | Delta | Marker) -> bool:
        """Whether a later attempt has replaced this event; says so when it is the first of that attempt."""
        step = getattr(event, "step", 0)
        before = self._attempts.attempt(step)
        if not self._attempts.keep(event):
            return True
        if step and 0 < before < self._attempts.attempt(step):
            self._answer.withdraw()
            if isinstance(event, ToolCompleted):
                return False  # nothing began again: this says what came of the call
            self._line(f"↻ step {step} begins again: attempt {before} was superseded", "warn")
        return False

    def _message(self, event: MessageAdded) -> None:
        if event.role == "assistant":
            self._screen.clear()
            self._answer.whole(event.message_id, event.content)
            return
        if self._past or event.message_id.startswith("user-"):
            self._line(f"{event.role}: {neutral(event.content)}", "dim")

    def _reasoning(self, event: ReasoningChunk) -> None:
        if self._verbose:
            self._answer.end()
            self._screen.part(neutral(event.content))

    def _tool_output(self, event: ToolOutputChunk) -> None:
        if self._verbose:
            self._answer.end()
            self._streamed.add(event.tool_execution_id)
            self._screen.part(neutral(event.content))

    def _tool_started(self, event: ToolStarted) -> None:
        self._calls[event.tool_execution_id] = event
        if event.member_execution_id is not None:
            self._line(f"→ {words.call(event)}  (execution {event.member_execution_id})")
        self._quiet_status(words.call(event))

    def _tool_completed(self, event: ToolCompleted) -> None:
        self._tool_calls += 1
        tone, line = words.completed(event, self._calls.pop(event.tool_execution_id, None))
        self._line(line, tone)
        if event.tool_execution_id not in self._streamed:
            for output in words.collapsed(words.output_of(event), whole=self._verbose):
                self._line(f"  {output}", "dim")

    def _status_changed(self, event: StatusChanged) -> None:
        self._began = self._began or event.timestamp
        waits = words.waiting(event.status, event.reason)
        if waits and not self._past:
            self._answer.end()
            self._screen.status(waits, lasting=True)

    def _approval(self, event: ApprovalRequested) -> None:
        for tone, line in words.approval(event, "EXECUTION"):
            self._line(line, tone)

    def _done(self, event: Done) -> None:
        self._answer.last(event.response)
        took = (event.timestamp - self._began).total_seconds() if self._began else None
        tone, line = words.ending(event, took, self._tool_calls)
        self._line(line, tone)

    def _quiet_status(self, text: str) -> None:
        if not self._past:
            self._answer.end()
            self._screen.status(text)

    def _line(self, text: str, tone: words.Tone = "plain") -> None:
        self._answer.end()
        self._screen.line(text, tone)


class _Answer:
    """The assistant's words on stdout: streamed once, whatever is repeated by facts and replays."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._message = ""
        self._shown = 0
        self._open = False
        self._last = ""

    def chunk(self, message_id: str, offset: int, content: str) -> None:
        self._turn_to(message_id)
        seen = self._shown - offset
        if seen < 0:
            return  # a piece is missing in between: the whole message will bring it
        self._write(content[seen:])
        self._shown = max(self._shown, offset + len(content))

    def whole(self, message_id: str, content: str) -> None:
        self._turn_to(message_id)
        self._write(content[self._shown :])
        self._shown, self._last = len(content), content or self._last
        self.end()

    def last(self, response: str) -> None:
        """The run's response, unless it is the message that was just shown."""
        if response and response != self._last:
            self._write(response)
        self.end()

    def withdraw(self) -> None:
        if self._open:
            self._write("\n[it broke off here; the answer begins again]")
            self.end()
        self._message, self._shown = "", 0

    def end(self) -> None:
        if self._open:
            self._out.write("\n")
            self._out.flush()
            self._open = False

    def _turn_to(self, message_id: str) -> None:
        if message_id != self._message:
            self.end()
            self._message, self._shown = message_id, 0

    def _write(self, text: str) -> None:
        if text:
            self._out.write(neutral(text))
            self._out.flush()
            self._open = not text.endswith("\n")
