"""The one event log: appends are fenced, numbered, committed together and handed to readers in the order stored.

One task commits everything that waits in one transaction, and takes what came meanwhile with the next one: under
load many appends share a commit, and a lone one waits for nobody. Chunks go to readers at once and become rows about
every `FLUSH_S`, at most one a part.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol, cast

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.errors import NotFound, Refusal, Unavailable
from kubiya_workers.contracts.events import Delta, Fact
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.observability import logs

from ..store import events as store
from ..store.database import Database
from ..store.events import StoredEvent, is_delta
from .commit import Append, Batch, Undone
from .hub import Hub, Subscription
from .journal import Journal

FLUSH_S = 0.05
POLL_S = 1.0
"""How often rows that another control plane stored are looked for."""
RETRY_S = 0.5
JOURNALS_KEPT = 2_000

log = logs.get(__name__)


Also = Callable[[AsyncConnection], Awaitable[None]]


class Counts(Protocol):
    """Who is told what the log does; on the path of every chunk."""

    def events_appended(self, count: int) -> None: ...
    def committed(self, seconds: float) -> None: ...


class EventLog:
    """The log of every execution; one a process, made inside its event loop, used between `start` and `close`."""

    def __init__(
        self, database: Database, *, hub: Hub | None = None, poll_s: float = POLL_S, counts: Counts | None = None
    ) -> None:
        self._database = database
        self._counts = counts
        self.hub = hub or Hub()
        self._poll_s = poll_s
        self._journals: dict[ExecutionId, Journal] = {}
        self._appends: list[Append] = []
        # Executions with an append that is not committed: their chunks wait behind it.
        self._waiting: Counter[ExecutionId] = Counter()
        self._unflushed: set[ExecutionId] = set()
        self._flush_due = False
        self._flush_timer: asyncio.TimerHandle | None = None
        self._work = asyncio.Event()
        # Held while journals and rows are brought in line, so that nobody sees the one without the other.
        self._turn = asyncio.Lock()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._write_for_ever(), name="event-log-writer"),
            asyncio.create_task(self._poll_for_ever(), name="event-log-poller"),
        ]

    async def close(self) -> None:
        """End the readers' streams and store everything that was taken; later appends are refused."""
        self.hub.close()
        self._closing = True
        self._flush_due = True
        self._work.set()
        if self._tasks:
            writer, poller = self._tasks
            poller.cancel()
            await asyncio.gather(writer, poller, return_exceptions=True)
        if self._flush_timer is not None:
            self._flush_timer.cancel()

    async def append(
        self,
        execution_id: ExecutionId,
        events: Sequence[Fact | Delta],
        *,
        also: Also | None = None,
        is_new: bool = False,
    ) -> Appended:
        """Add `events`, all or none. Returns when its facts are committed; at once for chunks alone.

        `also` runs in the same transaction before the events are added; with `is_new` it inserts the execution itself.
        What it raises refuses this append alone, and is raised here.

        Raises:
            NotFound: no such execution.
            Conflict: an event comes from a stale attempt, or the run is over.
            Unavailable: the log cannot be written now.
        """
        appended = await self._append(execution_id, events, also, is_new)
        if self._counts is not None:
            self._counts.events_appended(len(events))
        return appended

    async def _append(
        self, execution_id: ExecutionId, events: Sequence[Fact | Delta], also: Also | None, is_new: bool
    ) -> Appended:
        if self._closing:
            raise Unavailable("the control plane is stopping")
        if also is None and all(map(is_delta, events)):
            journal = await self._journal(execution_id)
            if not self._waiting[execution_id]:
                return self._live(journal, cast("Sequence[Delta]", events))
        return await self._queue(Append(execution_id, tuple(events), also, is_new))

    def _live(self, journal: Journal, deltas: Sequence[Delta]) -> Appended:
        answer, news = journal.live(deltas)
        if news:
            self.hub.publish(journal.execution_id, news)
            self._unflushed.add(journal.execution_id)
            if self._flush_timer is None:
                self._flush_timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)
        return answer

    async def _queue(self, append: Append) -> Appended:
        self._waiting[append.execution_id] += 1
        self._appends.append(append)
        self._work.set()
        return await append.answer

    # --- read

    async def step_result(self, execution_id: ExecutionId, step: int) -> Fact | None:
        """The stored fact that ended a step, for an attempt that finds another one was first."""
        async with self._database.reading() as connection:
            return await store.closing_fact(connection, execution_id, step)

    async def read(self, execution_id: ExecutionId, after_seq: int = 0, limit: int = 500) -> list[StoredEvent]:
        """Stored rows after `after_seq`, oldest first.

        Raises:
            NotFound: no such execution.
        """
        async with self._database.reading() as connection:
            rows = await store.read(connection, execution_id, after=after_seq, limit=limit)
            if not rows and not await store.last_seqs(connection, (execution_id,)):
                raise _unknown(execution_id)
            return rows

    async def page(self, execution_id: ExecutionId, after_seq: int, upto: int, limit: int) -> list[StoredEvent]:
        """Stored rows with `after_seq < seq <= upto`, oldest first."""
        async with self._database.reading() as connection:
            return await store.read(connection, execution_id, after=after_seq, upto=upto, limit=limit)

    async def steps_closed_after(self, execution_id: ExecutionId, seq: int) -> frozenset[int]:
        async with self._database.reading() as connection:
            return await store.steps_closed_after(connection, execution_id, seq)

    async def follow(self, execution_id: ExecutionId) -> tuple[Journal, Subscription]:
        """The journal, up to date with storage, and a queue of everything after its `last_seq`.

        Raises:
            NotFound: no such execution.
        """
        async with self._turn:
            async with self._database.reading() as connection:
                journal = await self._catch_up(connection, execution_id)
            return journal, self.hub.subscribe(execution_id, journal.snapshot())

    # --- journals

    async def _journal(self, execution_id: ExecutionId) -> Journal:
        journal = self._journals.get(execution_id)
        if journal is not None:
            return journal
        async with self._turn, self._database.reading() as connection:
            return await self._catch_up(connection, execution_id)

    async def _catch_up(self, connection: AsyncConnection, execution_id: ExecutionId) -> Journal:
        """The journal in line with storage; held by `_turn`."""
        found = await store.last_seqs(connection, (execution_id,))
        if execution_id not in found:
            raise _unknown(execution_id)
        return await self.in_line(connection, execution_id, found[execution_id])

    async def in_line(self, connection: AsyncConnection, execution_id: ExecutionId, last_seq: int) -> Journal:
        """The journal with all rows up to `last_seq`; what others stored goes to our readers. Held by `_turn`."""
        journal = self._journals.pop(execution_id, None)
        if journal is None:
            marks = await store.marks(connection, execution_id, upto=last_seq) if last_seq else []
            journal = Journal(execution_id, marks, last_seq)
        self._journals[execution_id] = journal  # at the end: the least recently used come first
        if last_seq > journal.last_seq:
            rows = await store.read(connection, execution_id, after=journal.last_seq, upto=last_seq, limit=last_seq)
            self.hub.publish(execution_id, journal.adopt(rows))
            journal.last_seq = last_seq
        return journal

    def _forget_idle(self) -> None:
        excess = len(self._journals) - JOURNALS_KEPT
        if excess <= 0:
            return
        idle = [
            execution_id
            for execution_id, journal in self._journals.items()
            if not (journal.unstored or self._waiting[execution_id] or self.hub.followed(execution_id))
        ]
        for execution_id in idle[:excess]:
            del self._journals[execution_id]

    # --- write

    def _flush(self) -> None:
        self._flush_timer = None
        self._flush_due = True
        self._work.set()

    async def _write_for_ever(self) -> None:
        while not (self._closing and not self._appends and not self._unflushed):
            await self._work.wait()
            self._work.clear()
            appends, self._appends = self._appends, []
            due = self._take_due()
            if appends or due:
                await self._write(appends, due)

    def _take_due(self) -> set[ExecutionId]:
        if not self._flush_due:
            return set()
        self._flush_due = False
        due, self._unflushed = self._unflushed, set()
        return due

    async def _write(self, appends: list[Append], due: set[ExecutionId]) -> None:
        """Commit everything at once; where that fails, one after the other, so that none harms another."""
        try:
            with suppress(Undone):
                await self._commit(appends, due)
        except (Refusal, SQLAlchemyError) as error:
            if len(appends) + bool(due) > 1:
                await self._write_one_by_one(appends, due)
            else:
                self._failed(appends, due, error)
        except Exception as error:  # the edge of this task: a defect may fail its batch, never stop the log
            log.error("The event log failed", error)
            self._failed(appends, due, error)
        finally:
            self._release(appends)
            self._forget_idle()

    async def _write_one_by_one(self, appends: list[Append], due: set[ExecutionId]) -> None:
        tries: list[tuple[list[Append], set[ExecutionId]]] = [([append], set()) for append in appends]
        for one, chunks in [*tries, ([], due)]:
            if one and one[0].answer.done():
                continue  # refused before, or nobody waits for it any more
            try:
                with suppress(Undone):
                    await self._commit(one, chunks)
            except (Refusal, SQLAlchemyError) as error:
                self._failed(one, chunks, error)

    def _failed(self, appends: list[Append], due: set[ExecutionId], error: Exception) -> None:
        refusal = error if isinstance(error, Refusal) else Unavailable("the event log cannot be written")
        for append in appends:
            append.refuse(refusal)
        if due:
            log.warning("Chunks are not stored yet", reason=refusal.detail)
            self._unflushed |= due
            if not self._closing and self._flush_timer is None:
                self._flush_timer = asyncio.get_running_loop().call_later(RETRY_S, self._flush)
            elif self._closing:
                self._unflushed.clear()

    async def _commit(self, appends: list[Append], due: Iterable[ExecutionId]) -> None:
        batch, began = Batch(self), time.perf_counter()
        async with self._turn:
            async with self._database.writing() as connection:
                await batch.stage(connection, appends, due)
                await batch.insert(connection)
            for draft in batch.drafts.values():
                draft.journal.settle(draft)
                # Rows of chunks that were live already only move a reader's cursor: no need to wake it.
                self.hub.publish(draft.journal.execution_id, draft.news, wake=draft.has_appends)
                if draft.unstored:
                    self._unflushed.add(draft.journal.execution_id)
        batch.answer()
        if self._counts is not None:
            self._counts.committed(time.perf_counter() - began)

    def _release(self, appends: Iterable[Append]) -> None:
        for append in appends:
            self._waiting[append.execution_id] -= 1
            if not self._waiting[append.execution_id]:
                del self._waiting[append.execution_id]
        if self._unflushed and self._flush_timer is None and not self._flush_due:
            self._flush_timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)
        if self._closing:
            self._flush_due = True
            self._work.set()

    # --- other control planes

    async def _poll_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            with suppress(Unavailable):
                await self._poll()

    async def _poll(self) -> None:
        """Bring to our readers what other control planes stored."""
        followed = self.hub.executions
        if not followed:
            return
        async with self._database.reading() as connection:
            newest = await store.last_seqs(connection, followed)
            for execution_id, last_seq in newest.items():
                journal = self._journals.get(execution_id)
                if journal is not None and journal.last_seq < last_seq:
                    async with self._turn:
                        await self._catch_up(connection, execution_id)


def _unknown(execution_id: ExecutionId) -> NotFound:
    return NotFound(f"no execution {execution_id}", fix="List them with: kubiya execution list")
