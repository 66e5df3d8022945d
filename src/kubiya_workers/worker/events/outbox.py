"""What a publisher has still to send, in order: facts, and the unsent text of each part."""

import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from kubiya_workers.contracts.events import Delta, Fact

MakeDelta = Callable[[str, int], Delta]
"""(content, offset) → the chunk."""


@dataclass
class Part:
    """A streamed text, kept whole while its step runs: a control plane that restarted asks for its end again."""

    make: MakeDelta
    text: io.StringIO = field(default_factory=io.StringIO)
    length: int = 0
    sent: int = 0

    def add(self, text: str) -> None:
        self.text.seek(0, io.SEEK_END)
        self.text.write(text)
        self.length += len(text)

    def take(self, end: int, most: int) -> Delta:
        """The next chunk, up to `end` and of `most` characters at most."""
        self.text.seek(self.sent)
        content = self.text.read(min(end - self.sent, most))
        delta = self.make(content, self.sent)
        self.sent += len(content)
        return delta


@dataclass
class _Upto:
    """The text of a part up to `end` is to be sent here."""

    part: Part
    end: int


class Outbox:
    """Chunks of one part that wait side by side become one."""

    def __init__(self) -> None:
        self._waiting: deque[Fact | _Upto] = deque()
        self._parts: dict[str, Part] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add_fact(self, fact: Fact) -> None:
        self._waiting.append(fact)

    def add_text(self, name: str, text: str, make: MakeDelta) -> None:
        """Add to the part called `name`; `make` is used for its first text."""
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = Part(make)
        part.add(text)
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, _Upto) and last.part is part:
            last.end = part.length
        else:
            self._waiting.append(_Upto(part, part.length))

    def rewind(self, name: str, held: int) -> None:
        """The log holds only `held` characters of a part: what follows is sent again, before anything else."""
        part = self._parts.get(name)
        if part is not None and held < part.sent:
            self._waiting.appendleft(_Upto(part, part.sent))
            part.sent = held

    def take(self, *, most_events: int, most_text: int) -> list[Fact | Delta]:
        """The next events to send together; `most_text` characters of chunks at most."""
        batch: list[Fact | Delta] = []
        room = most_text
        while self._waiting and len(batch) < most_events and room > 0:
            first = self._waiting[0]
            if not isinstance(first, _Upto):
                batch.append(first)
                self._waiting.popleft()
                continue
            if first.end > first.part.sent:
                delta = first.part.take(first.end, room)
                room -= len(delta.content)
                batch.append(delta)
            if first.part.sent >= first.end:
                self._waiting.popleft()
        return batch
