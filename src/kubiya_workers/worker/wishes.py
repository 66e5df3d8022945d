"""What is asked of this worker from afar: heard in the answers to its heartbeats, done here, and said to be heard.

What it then is, its status says, as when the same is asked for on its own machine.
"""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime

from kubiya_workers.contracts.errors import Conflict, Refusal
from kubiya_workers.contracts.pool import Pause, Record
from kubiya_workers.contracts.workers import Action, Heard, Wish
from kubiya_workers.launchers.upkeep import pauses, records
from kubiya_workers.observability import logs
from kubiya_workers.settings.source import BadSetting
from kubiya_workers.settings.worker import WorkerSettings

log = logs.get(__name__)


class Wishes:
    """Of the process. `end` asks it to drain and end, with the reason; it is called on the event loop."""

    def __init__(self, settings: WorkerSettings, end: Callable[[str], None]) -> None:
        self._settings = settings
        self._end = end
        self._loop = asyncio.get_running_loop()
        self.heard: Heard | None = None
        """The last one, said with each heartbeat from then on."""

    def can(self, *, paused: bool) -> tuple[Action, ...]:
        """What can be asked of it now."""
        kept = (Action.RESTART,) if self._record() is not None else ()
        return (Action.RESUME if paused else Action.PAUSE, Action.DRAIN, *kept)

    def take(self, wish: Wish) -> bool:
        """Do what is asked; False when it was done before. May be called on any thread."""
        if self.heard is not None and self.heard.id == wish.id:
            return False
        log.info("Asked from afar", action=wish.action, by=wish.asked_by, note=wish.note)
        refused = None
        try:
            self._do(wish)
        except (Refusal, BadSetting, OSError) as error:
            refused = error.detail if isinstance(error, Refusal) else str(error)
            log.error("What was asked cannot be done", action=wish.action, reason=refused)
        self.heard = Heard(id=wish.id, refused=refused)
        return True

    def _do(self, wish: Wish) -> None:
        paths, queue = self._settings.paths, self._settings.queue
        match wish.action:
            case Action.PAUSE:
                note = wish.note or f"asked by {wish.asked_by}"
                pauses.write(paths, queue, Pause(note=note, since=datetime.now(UTC), until=wish.until))
            case Action.RESUME:
                pauses.remove(paths, queue)
            case Action.DRAIN:
                self._loop.call_soon_threadsafe(self._end, f"it was asked to drain by {wish.asked_by}")
            case Action.RESTART:
                self._restart()

    def _restart(self) -> None:
        from kubiya_workers.launchers.upkeep import daemon  # all that starts workers: few workers are ever asked

        record = self._record()
        if record is None:
            raise Conflict("nobody keeps this worker who could start it again")
        daemon.restart(record)

    def _record(self) -> Record | None:
        """What its keeper says of it, where it is our parent."""
        record = records.stored(self._settings.paths, self._settings.queue)
        return record if record is not None and record.supervisor.pid == os.getppid() else None
