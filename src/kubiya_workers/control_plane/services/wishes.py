"""Workers that wait to hear what is asked of them, so that it need not wait for their next heartbeat.

Whoever asks at this control plane wakes them at once. What is asked at another on the same database is seen by one look
a second for all that wait here.
"""

import asyncio

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.ids import WorkerId
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.workers import Wish
from kubiya_workers.control_plane import auth as credentials
from kubiya_workers.control_plane.store import workers as store
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.observability import logs

log = logs.get(__name__)

LOOK_S = 1.0


class Waiting:
    """Those that wait at this process; used inside one event loop."""

    def __init__(self) -> None:
        self._events: dict[WorkerId, asyncio.Event] = {}
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def wake(self, worker_id: WorkerId) -> None:
        """Something was asked of this worker."""
        if (event := self._events.get(worker_id)) is not None:
            event.set()

    def close(self) -> None:
        """Nobody waits any more."""
        self._closed = True
        for event in self._events.values():
            event.set()

    async def wish(self, database: Database, caller: Caller, worker_id: WorkerId, seconds: float) -> Wish | None:
        """What is wanted of a worker and was not heard yet, once there is something; None after so many seconds.

        Raises:
            Forbidden: the caller is another worker.
        """
        credentials.check_own_worker(caller, worker_id)
        # A later question of the same worker takes the place of an earlier one, which it gave up.
        self.wake(worker_id)
        event = self._events[worker_id] = asyncio.Event()
        if self._closed:
            return None
        try:
            found = await _unheard(database, worker_id)
            if found is not None:
                return found
            self._look(database)
            async with asyncio.timeout(seconds):
                await event.wait()
            return await _unheard(database, worker_id)
        except TimeoutError:
            return None
        finally:
            if self._events.get(worker_id) is event:
                del self._events[worker_id]

    def _look(self, database: Database) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on(database), name="wishes")

    async def _look_on(self, database: Database) -> None:
        while self._events and not self._closed:
            await asyncio.sleep(LOOK_S)
            try:
                async with database.reading() as connection:
                    wanted = await store.with_wishes(connection)
            except Refusal as error:
                log.warning("What is asked of workers could not be looked for", reason=error.detail)
                continue
            for worker_id in wanted:
                self.wake(worker_id)


async def _unheard(database: Database, worker_id: WorkerId) -> Wish | None:
    async with database.reading() as connection:
        wish = await store.wish_of(connection, worker_id)
    return wish if wish is not None and wish.heard_at is None else None
