"""One reader's stream: the past from where it was, then live, as server-sent events."""

import time
from collections.abc import AsyncIterator, Iterable

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.events import Connected, Done, GapDetected, HistoryComplete
from kubiya_workers.contracts.ids import ExecutionId

from ..store.events import is_delta
from .cursor import Cursor, unseen
from .item import Item, encode
from .log import EventLog

KEEPALIVE_S = 15.0
KEEPALIVE = b": keepalive\n\n"
_PAGE = 500


class Reader:
    """Follows one execution from a cursor: `open`, iterate `blocks` once, `close`."""

    def __init__(
        self, log: EventLog, execution_id: ExecutionId, cursor: Cursor, *, keepalive_s: float = KEEPALIVE_S
    ) -> None:
        self._log = log
        self._execution_id = execution_id
        self._cursor = cursor
        self._keepalive_s = keepalive_s
        self._over = False

    async def open(self) -> "Reader":
        """Begin to follow.

        Raises:
            NotFound: no such execution.
            Invalid: the cursor is past the newest event.
        """
        await self._follow()
        if self._cursor.seq > self._upto:
            self.close()
            raise Invalid(
                f"Last-Event-ID {self._cursor.seq} is past the newest event, {self._upto}",
                fix="Send the id of the last event that was read, or none to read from the start.",
            )
        return self

    def close(self) -> None:
        self._log.hub.leave(self._execution_id, self._subscription)

    @property
    def has_seen_all(self) -> bool:
        """Whether the run is over and this reader saw its last event before: there is nothing to say to it."""
        return self._ended and self._cursor.seq >= self._upto

    async def blocks(self) -> AsyncIterator[bytes]:
        """Everything to send, joined where several events are ready at once. Ends after `done`."""
        try:
            yield self._marker(Connected(execution_id=self._execution_id))
            complete = HistoryComplete(execution_id=self._execution_id, message_count=self._messages)
            async for block in self._replay(before_done=encode(complete)):
                yield block
            if not self._over:
                yield self._marker(complete)
            async for block in self._live():
                yield block
        finally:
            self.close()

    async def _follow(self) -> None:
        journal, self._subscription = await self._log.follow(self._execution_id)
        self._upto, self._ended, self._messages = journal.last_seq, journal.ledger.ended, journal.ledger.messages
        # Steps that closed while the past was read: some of their rows may be gone already, so that a chunk from
        # the queue could leave a hole. The fact that closed them follows and says all.
        self._closing: frozenset[int] = frozenset()

    async def _replay(self, before_done: bytes = b"") -> AsyncIterator[bytes]:
        upto, after = self._upto, self._cursor.seq
        while after < upto and (rows := await self._log.page(self._execution_id, after, upto, _PAGE)):
            after = rows[-1].seq
            if isinstance(rows[-1].event, Done) and before_done:
                if block := self._unseen([Item(event, seq) for seq, event in rows[:-1]]):
                    yield block
                yield self._id() + before_done
                rows = rows[-1:]
            if block := self._unseen([Item(event, seq) for seq, event in rows]):
                yield block
        self._closing = await self._log.steps_closed_after(self._execution_id, upto)

    async def _live(self) -> AsyncIterator[bytes]:
        written = time.monotonic()
        while not self._over:
            items = await self._subscription.take(max(0.0, written + self._keepalive_s - time.monotonic()))
            if items:
                block = self._unseen(items)
                if not block:
                    continue
                yield block
            elif self._subscription.overflowed:
                async for block in self._resume():
                    yield block
            elif self._subscription.closed:
                return
            else:
                yield KEEPALIVE
            written = time.monotonic()

    async def _resume(self) -> AsyncIterator[bytes]:
        """This reader was too slow: say so, and replay from storage what it missed."""
        self.close()
        await self._follow()
        yield self._marker(GapDetected.model_validate({"from": self._cursor.seq, "to": self._upto}))
        async for block in self._replay():
            yield block

    def _unseen(self, items: Iterable[Item]) -> bytes:
        parts: list[bytes] = []
        for item in items:
            if item.event.step in self._closing and is_delta(item.event) and item.seq is None:
                continue
            new, self._cursor = unseen(self._cursor, item.event, item.seq)
            if new is not None:
                parts.append(self._id())
                parts.append(item.payload if new is item.event else encode(new))
                self._over = self._over or isinstance(new, Done)
        return b"".join(parts)

    def _id(self) -> bytes:
        return f"id: {self._cursor}\n".encode()

    def _marker(self, marker: Connected | HistoryComplete | GapDetected) -> bytes:
        return self._id() + encode(marker)
