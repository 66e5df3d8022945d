"""Whether this worker takes work. A pause, too much memory, or a LiteLLM beside it that a person stopped, closes it:
what runs goes on to its end, and nothing else is taken until it opens again. Everything else of the worker (its
registration, its heartbeat) goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.pool import Pause
from kubiya_workers.launchers.litellm import standing as proxy
from kubiya_workers.launchers.litellm.refusing import HOW_TO_START, STOPPED
from kubiya_workers.launchers.upkeep import pauses
from kubiya_workers.observability import logs
from kubiya_workers.settings.quantities import show_size
from kubiya_workers.settings.worker import WorkerSettings

from .activities.edge import Running
from .runtime import Runtime
from .standing import Closed, Standing

log = logs.get(__name__)

DRAIN_S = 25.0
LOOK_S = 1.0
FULL = 0.8
"""The share of MEMORY_LIMIT, tools included, above which nothing more is taken."""
ROOM = 0.7
"""And below which it is again: between them it stays as it is, so that it does not flutter."""


@dataclass(frozen=True)
class Seen:
    """What may close it. Memory and its limit in bytes; no limit is 0."""

    pause: Pause | None = None
    proxy_stopped: bool = False
    memory: int = 0
    memory_limit: int = 0


def closed_by(seen: Seen, before: Closed | None) -> Closed | None:
    """Why it takes nothing; None when it takes work."""
    if (pause := seen.pause) is not None:
        return Closed("paused" + (f": {pause.note}" if pause.note else ""), pause)
    if seen.proxy_stopped:
        return Closed(f"{STOPPED}; {HOW_TO_START}")
    memory, limit = seen.memory, seen.memory_limit
    if limit and memory > limit * (ROOM if before is not None and before.for_memory else FULL):
        return Closed(f"memory: {show_size(memory)} of {show_size(limit)}", for_memory=True)
    return None


class Intake:
    """Opens and closes what polls. `open_` makes an opened runtime, `changed` hears of each change of mind."""

    def __init__(
        self,
        standing: Standing,
        running: Running,
        open_: Callable[[], Awaitable[Runtime]],
        *,
        changed: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._standing = standing
        self._running = running
        self._open_runtime = open_
        self._changed = changed
        self._failed = failed
        self._runtime: Runtime | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take work, unless it is to be closed; returns when the server has seen us poll.

        Raises:
            Refusal: it cannot connect, or the server did not.
        """
        await self._settle(self._reason())

    async def mind(self) -> None:
        """Look each second whether anything has changed."""
        while True:
            await asyncio.sleep(LOOK_S)
            reason = self._reason()
            try:
                await self._settle(reason)
            except Refusal as error:
                self._failed(error.detail)

    async def is_polling(self) -> bool | None:
        """Whether the server sees us poll; None while we do not mean to.

        Raises:
            Unavailable: the server does not answer.
        """
        return await self._runtime.is_polling() if self._runtime is not None else None

    async def close(self) -> None:
        """Take nothing more; let what runs end within DRAIN_S, and hand back the rest."""
        self._shut()
        if not self._closing:
            return
        _, late = await asyncio.wait(self._closing, timeout=DRAIN_S)
        if late:
            self._running.give_up("the worker is shutting down")
            await asyncio.wait(late)

    def _reason(self) -> Closed | None:
        settings = self._standing.settings
        seen = Seen(
            pause=pauses.read(settings.paths, settings.queue),
            proxy_stopped=_is_stopped(settings),
            memory=self._standing.memory_with_tools() if settings.memory_limit else 0,
            memory_limit=settings.memory_limit,
        )
        return closed_by(seen, self._standing.closed)

    async def _settle(self, reason: Closed | None) -> None:
        before, self._standing.closed = self._standing.closed, reason
        if reason is None and self._runtime is None:
            await self._open()
            if before is not None:
                log.info("Resumed", after=before.reason)
                self._changed()
        elif reason is not None and before is None:
            self._shut()
            log.warning("Paused", reason=reason.reason, running=self._standing.tally.steps)
            self._changed()

    async def _open(self) -> None:
        runtime = await self._open_runtime()
        self._runtime = runtime
        self._standing.polls()
        runtime.ended.add_done_callback(partial(self._ended, runtime))

    def _ended(self, runtime: Runtime, _: asyncio.Task[None]) -> None:
        if runtime is self._runtime:
            self._failed("polling ended")

    def _shut(self) -> None:
        runtime, self._runtime = self._runtime, None
        self._standing.polls_not()
        if runtime is not None:
            task = asyncio.create_task(runtime.close(), name="closing")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _is_stopped(settings: WorkerSettings) -> bool:
    """Whether models are called through a LiteLLM beside this worker, and it was stopped."""
    if settings.gateway is None:
        return False
    record = proxy.read(settings.paths.upkeep(settings.queue))
    return record is not None and record.state in ("stopping", "stopped") and settings.gateway.startswith(record.url)
