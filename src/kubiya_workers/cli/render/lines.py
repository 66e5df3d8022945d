"""A run as JSON lines on stdout: `{"event": …, "id": …, "data": {…}}`, one event a line, every event as it came."""

import json
import sys
from collections.abc import Mapping
from typing import TextIO

from kubiya_workers.contracts.events import Delta, Fact, Marker, ToolStarted, to_wire

from .. import talk
from ..output import escaped


class JsonLines:
    """Nothing is left out or merged: attempts are told apart by the `step` and `attempt` of each event."""

    def __init__(self, out: TextIO | None = None, *, also: Mapping[str, str] | None = None) -> None:
        """`also` is in every line: which run it is of, where there are several."""
        self._out = out or sys.stdout
        self._also = also or {}

    def event(self, event_id: str, event: Fact | Delta | Marker) -> None:
        line = {**self._also, "event": event.type, "id": event_id, "data": to_wire(event)}
        self._out.write(escaped(json.dumps(line, ensure_ascii=False)) + "\n")
        self._out.flush()  # whoever reads a pipe wants each event when it happens

    shows_members = False
    """Every line is of one log: those of members are followed by their executions, which `tool_started` names."""

    def member(self, started: ToolStarted, event: Fact | Delta | Marker) -> None:
        """Not asked for."""

    def status(self, what: str) -> None:
        talk.note(what)

    def note(self, text: str) -> None:
        talk.note(text)

    def close(self) -> None:
        """Every line is out already."""
