"""What nobody needs any more is removed: large bodies whose runs are over, and, where people say so, old executions.

    a body        once it was last stored before every run that is open began, and more than a week ago
    an execution  once it has been over for KUBIYA_KEEP_EXECUTIONS; without that, never

What was used of models (`usage`) is kept. Every control plane of a database may do this at the same time.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.observability import logs

from .services.objects import ObjectStore
from .store import executions
from .store.database import Database

LOOK_INTERVAL_S = 3600.0
BODIES_KEPT = timedelta(days=7)
"""Longer than Temporal keeps the history of a run that is over by default, so that its own tools can still show it."""
MARGIN = timedelta(days=1)
"""How much older than the oldest open run a body must be: far more than `STORED_FOR_S` of `client/payloads.py`, for
which a worker takes a body that it stored for one run to be there for the next."""
_AT_ONCE = 200

log = logs.get(__name__)


class Retention:
    """One a process. `keep` is how long executions are kept once they are over; None is for ever."""

    def __init__(self, database: Database, objects: ObjectStore, keep: timedelta | None) -> None:
        self._database = database
        self._objects = objects
        self._keep = keep
        self._tidier: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._tidier = asyncio.create_task(self._tidy_for_ever(), name="retention")

    async def close(self) -> None:
        if self._tidier is not None:
            self._tidier.cancel()
            await asyncio.gather(self._tidier, return_exceptions=True)

    async def tidy(self, now: datetime) -> tuple[int, int]:
        """How many executions and how many bodies were removed.

        Raises:
            Unavailable: the database or the directory cannot be written now.
        """
        gone = 0 if self._keep is None else await self._forget(now - self._keep)
        async with self._database.reading() as connection:
            oldest = await executions.oldest_open(connection)
        before = min(now - BODIES_KEPT, (oldest or now) - MARGIN)
        bodies = await asyncio.to_thread(self._objects.remove_unused, before)
        if gone or bodies:
            log.info("Old data removed", executions=gone, bodies=bodies)
        return gone, bodies

    async def _forget(self, before: datetime) -> int:
        """In pieces, so that nothing else waits long for the database."""
        gone = 0
        while True:
            async with self._database.writing() as connection:
                removed = await executions.delete_over(connection, before, _AT_ONCE)
            gone += removed
            if removed < _AT_ONCE:
                return gone

    async def _tidy_for_ever(self) -> None:
        while True:
            try:
                await self.tidy(datetime.now(UTC))
            except Refusal as error:
                log.warning("Old data is not removed", reason=error.detail)
            await asyncio.sleep(LOOK_INTERVAL_S)
