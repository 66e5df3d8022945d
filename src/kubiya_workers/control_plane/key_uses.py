"""When each key was last used. It is noted in memory and written once a minute, so that no request pays for it."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Key
from kubiya_workers.observability import logs

from .store import keys
from .store.database import Database

WRITE_INTERVAL_S = 60.0

log = logs.get(__name__)


class KeyUses:
    """Of the keys that people made; what a worker does with its token is told by its heartbeats.

    Killed, a control plane forgets the uses of its last minute; told to stop, none.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unwritten: dict[KeyId, datetime] = {}
        self._writer: asyncio.Task[None] | None = None

    def note(self, key_id: KeyId) -> None:
        self._unwritten[key_id] = datetime.now(UTC)

    def brought_up_to_date(self, key: Key) -> Key:
        """A stored key with the use that this process knows of, where that is later."""
        uses = [moment for moment in (key.last_used_at, self._unwritten.get(key.id)) if moment is not None]
        return key.model_copy(update={"last_used_at": max(uses, default=None)})

    async def start(self) -> None:
        self._writer = asyncio.create_task(self._write_for_ever(), name="key-uses")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        with suppress(Refusal):  # the database is gone, and with it the only place for them
            await self.write()

    async def write(self) -> None:
        """Store what is new. Raises `Unavailable`; then it is kept for the next time."""
        uses = dict(self._unwritten)
        if not uses:
            return
        async with self._database.writing() as connection:
            await keys.note_uses(connection, uses)
        # What was used again meanwhile is new; the rest is forgotten, since keys of workers on demand come and go.
        self._unwritten = {key: moment for key, moment in self._unwritten.items() if uses.get(key) != moment}

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_INTERVAL_S)
            try:
                await self.write()
            except Refusal as error:
                log.warning("The last uses of keys wait to be written", reason=error.detail)
