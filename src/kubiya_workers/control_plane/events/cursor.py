"""Where a reader is in the log of an execution, as the id of the last event that it saw says it.

A stored row's id is its sequence number. Live chunks have no number yet, so that the id of one is the last number
before it and, for each part with content beyond the stored rows, how far the reader has seen it:

    17                    everything up to row 17
    17~3.1.m:240,4.1.o:9  and of part 3.1.m the first 240 characters, of part 4.1.o the first 9
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.events import Delta, Done, Fact, closes_step

from ..store.events import end_of, is_delta
from .ledger import from_offset

_FORMAT = re.compile(r"(\d{1,18})(?:~((?:\d{1,9}\.\d{1,9}\.[mro]:\d{1,18}(?:,(?!$)|$))+))?", re.ASCII)
_LONGEST = 4_096


@dataclass(frozen=True, slots=True)
class Cursor:
    seq: int = 0
    seen: Mapping[str, int] = field(default_factory=dict[str, int])
    """Of each part with content beyond row `seq`: how many characters were seen."""

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor that an event's id tells of.

        Raises:
            Invalid: `text` is not the id of any event.
        """
        match = _FORMAT.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            raise Invalid(
                f"Last-Event-ID {text[:80]!r} is not the id of an event",
                fix="Send the id of the last event that was read, or none to read from the start.",
            )
        pairs = (pair.rsplit(":", 1) for pair in (match[2] or "").split(",") if pair)
        return cls(int(match[1]), {part: int(end) for part, end in pairs})

    def __str__(self) -> str:
        if not self.seen:
            return str(self.seq)
        return f"{self.seq}~" + ",".join(f"{part}:{end}" for part, end in self.seen.items())


def unseen(cursor: Cursor, event: Fact | Delta, seq: int | None) -> tuple[Fact | Delta | None, Cursor]:
    """What of an event the reader has not seen yet, and where it is after it. `seq` is None for a live chunk."""
    if seq is not None and seq <= cursor.seq:
        return None, cursor
    if is_delta(event):
        return _unseen_delta(cursor, cast(Delta, event), seq)
    return event, Cursor(cast(int, seq), _still_open(cursor.seen, cast(Fact, event)))


def _unseen_delta(cursor: Cursor, delta: Delta, seq: int | None) -> tuple[Delta | None, Cursor]:
    part, end = delta.part, end_of(delta)
    known = cursor.seen.get(part)
    new = delta
    if known is not None:
        # A chunk beyond a hole is not shown: its step has closed meanwhile, and the fact that closed it says all.
        new = None if delta.offset > known else from_offset(delta, known)
    reached = known or 0 if new is None else end
    if seq is None:
        return new, Cursor(cursor.seq, {**cursor.seen, part: reached})
    seen = {other: far for other, far in cursor.seen.items() if other != part}
    if reached > end:
        seen[part] = reached
    return new, Cursor(seq, seen)


def _still_open(seen: Mapping[str, int], fact: Fact) -> Mapping[str, int]:
    if isinstance(fact, Done):
        return {}
    if not seen or not closes_step(fact):
        return seen
    prefix = f"{fact.step}."
    return {part: far for part, far in seen.items() if not part.startswith(prefix)}
