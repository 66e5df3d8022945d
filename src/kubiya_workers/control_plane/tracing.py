"""Traces of runs that are over, to whoever collects them.

A run's mark that its trace was taken is stored, and set only once it was: a collector that is away, or a control plane
that ends, makes a trace late and loses none. One that is sent twice is the same trace, since its identifiers are.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.events import Delta, Fact
from kubiya_workers.contracts.executions import Execution
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.observability import logs
from kubiya_workers.observability.traces import Span, trace

from .events.log import EventLog
from .store import traces as store
from .store.database import Database

SWEEP_INTERVAL_S = 10.0
LATE = timedelta(days=1)
"""How long a collector may be away; older runs are not sent any more, so that none floods it when it is first set."""
_AT_ONCE = 50
_PAGE = 500

log = logs.get(__name__)


class Collector(Protocol):
    def export(self, spans: Sequence[Span]) -> bool: ...
    def close(self) -> None: ...


class Tracing:
    """One a process, where a collector is configured. Several control planes may send the same trace."""

    def __init__(
        self, database: Database, events: EventLog, collector: Callable[[], Collector], *, with_content: bool
    ) -> None:
        self._database = database
        self._events = events
        self._make = collector
        self._collector: Collector | None = None
        self._with_content = with_content
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._away = False
        self._failures: Counter[ExecutionId] = Counter()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._for_ever(), name="traces")

    async def close(self) -> None:
        """Ends now: what was not sent is sent by the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._collector is not None:
            self._collector.close()

    def wake(self) -> None:
        """A run ended."""
        self._more.set()

    async def _for_ever(self) -> None:
        self._collector = await asyncio.to_thread(self._make)  # its import takes tenths of a second
        while True:
            self._more.clear()
            try:
                while await self._send_some(self._collector):
                    pass
            except Refusal as error:
                log.warning("Traces wait", reason=error.detail)
            except Exception as error:  # the edge of this task: a defect may cost one round, never all of them
                log.error("A trace could not be made", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), SWEEP_INTERVAL_S)

    async def _send_some(self, collector: Collector) -> bool:
        """Whether there may be more."""
        since = datetime.now(UTC) - LATE
        async with self._database.reading() as connection:
            ended = await store.untraced(connection, since=since, limit=_AT_ONCE)
        # One that cannot be sent must not stand in the way of the others: those that failed least come first.
        self._failures = Counter({run.id: self._failures[run.id] for run in ended})
        for execution in sorted(ended, key=lambda run: self._failures[run.id]):
            self._failures[execution.id] += 1
            if not await asyncio.to_thread(collector.export, await self._spans(execution)):
                self._say_away(True)
                return False
            del self._failures[execution.id]
            self._say_away(False)
            async with self._database.writing() as connection:
                await store.mark_traced(connection, execution.id, datetime.now(UTC))
        return len(ended) == _AT_ONCE

    async def _spans(self, execution: Execution) -> list[Span]:
        rows: list[Fact | Delta] = []
        after = 0
        while page := await self._events.read(execution.id, after, _PAGE):
            rows += [row.event for row in page]
            after = page[-1].seq
        return trace(execution, rows, with_content=self._with_content)

    def _say_away(self, away: bool) -> None:
        if away and not self._away:
            log.warning("Traces cannot be delivered", next_step="they are sent when the collector answers again")
        elif self._away and not away:
            log.info("Traces are delivered again")
        self._away = away
