"""One snapshot of all that changes by itself, told to every page when it has changed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.console import Connection, ConnectionState, Live, Minute, Notice, PoolWorker
from kubiya_workers.contracts.errors import NotFound, Refusal
from kubiya_workers.contracts.pool import UpkeepState
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.contracts.workers import Worker, WorkerStatus
from kubiya_workers.launchers.litellm.config import masked

from .contact import Contacts, Plane
from .sse import KEEP_ALIVE, event

EVERY_S = 1.0
KEEP_ALIVE_S = 15.0
_REMOTE_EVERY_S = 3.0
_CONFIGURATION_EVERY_S = 30.0
_MINUTES = 60
_MOST_WORKERS, _MOST_GONE = 1000, 200


@dataclass(frozen=True)
class _Remote:
    """What the control plane said last; `is_known` once it was asked, or does not answer."""

    is_known: bool = False
    workers: tuple[Worker, ...] = ()
    minutes: tuple[Minute, ...] = ()
    configuration: JsonObject = field(default_factory=dict[str, Any])


class Source(Protocol):
    """Where the workers that are shown come from."""

    is_fleet: bool
    """Whether they are all that the control plane knows."""

    async def workers(self, known: Sequence[Worker], now: datetime) -> Sequence[PoolWorker]:
        """All of them; `known` are those of which the control plane said last that they live, or did lately."""
        ...


class LiveView:
    """The present snapshot, kept current while somebody looks."""

    def __init__(self, source: Source, plane: Plane, over: asyncio.Event) -> None:
        self._source = source
        self._plane = plane
        self._over = over
        self._wake, self._ask_now = asyncio.Event(), asyncio.Event()
        self._changed = asyncio.Condition()
        self._watchers = 0
        self._remote = _Remote()
        self._configured_until = 0.0
        self.contacts = Contacts(plane, on_change=self._wake.set)
        self.now: Live | None = None

    async def forever(self) -> None:
        """Look at the workers each second, while somebody wants to know."""
        while True:
            if self._watchers:
                await self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), EVERY_S)
            self._wake.clear()

    async def ask_forever(self) -> None:
        """Ask the control plane for what it alone knows, while somebody wants to know."""
        while True:
            if self.contacts.connection.state is ConnectionState.LOST:
                self._remote = _Remote(is_known=True)
            elif self._watchers:
                await self._ask()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ask_now.wait(), _REMOTE_EVERY_S)
            self._ask_now.clear()

    async def changes(self) -> AsyncGenerator[Live | None]:
        """The snapshot, and each that differs from the one before; None now and then while nothing changes."""
        if not self._watchers:
            self.now = None  # what was seen when somebody looked last is no news
            self.contacts.ask_soon()
        self._watchers += 1
        self.wake()
        told: Live | None = None
        try:
            while not self._over.is_set():
                fresh = await self._next(told)
                if self._over.is_set():
                    return
                yield fresh
                told = fresh or told
        finally:
            self._watchers -= 1

    def is_watched(self) -> bool:
        return self._watchers > 0

    def wake(self) -> None:
        """Something has changed: the next snapshot comes at once."""
        self._wake.set()
        self._ask_now.set()

    def close(self) -> None:
        """End all that follow."""
        self._over.set()
        asyncio.get_running_loop().create_task(self._tell())

    async def _next(self, told: Live | None) -> Live | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_S), self._changed:
                await self._changed.wait_for(
                    lambda: self._over.is_set() or (self.now is not None and self.now is not told)
                )
                return self.now
        return None

    async def _look(self) -> None:
        if self._source.is_fleet and not self._remote.is_known:
            return  # nothing is known yet, which is not the same as that there is none
        now = datetime.now(UTC)
        workers = tuple(await self._source.workers(self._remote.workers, now))
        connection = self._told(workers)
        fresh = Live(
            at=now,
            workers=workers,
            connection=connection,
            notices=notices(connection, workers, is_fleet=self._source.is_fleet),
            minutes=self._remote.minutes,
            # Where several tell of a queue, the first: those of this machine say it now.
            backlog={
                worker.listed.queue: worker.report.backlog
                for worker in reversed(workers)
                if worker.report is not None and worker.report.backlog is not None
            },
        )
        if self.now is None or fresh != self.now.model_copy(update={"at": now}):
            self.now = fresh
            await self._tell()

    def _told(self, workers: Sequence[PoolWorker]) -> Connection:
        """The connection, with what the workers were told when they registered."""
        reports = [worker.report for worker in workers if worker.report is not None]
        host = next((report.temporal_host for report in reports if report.temporal_host), None)
        told = {"temporal_host": host, "configuration": self._remote.configuration}
        return self.contacts.connection.model_copy(update=told)

    async def _ask(self) -> None:
        try:
            client = await self._plane.client()
            live = await client.workers.list(live=True, limit=_MOST_WORKERS)
            gone = await client.workers.list(live=False, limit=_MOST_GONE)
            minutes = await client.executions.activity(minutes=_MINUTES)
            configuration = await self._configuration(client)
        except Refusal:
            return  # the contacts say so
        self._remote = _Remote(True, (*live, *gone), tuple(minutes), configuration)
        self._wake.set()

    async def _configuration(self, client: ControlPlaneClient) -> JsonObject:
        """What the workers of this machine are configured with, by their queue; asked for now and then."""
        now = time.monotonic()
        if self._remote.configuration and now < self._configured_until:
            return self._remote.configuration
        self._configured_until = now + _CONFIGURATION_EVERY_S
        ours = [
            worker.key
            for worker in (self.now.workers if self.now else ())
            if worker.record is not None and worker.report
        ]
        found: JsonObject = {}
        for queue in ours:
            with contextlib.suppress(NotFound):
                found[queue] = masked(await client.queues.config(queue))
        return found

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def told(live: LiveView) -> AsyncGenerator[bytes]:
    """The snapshots of a live view, as they come."""
    yield KEEP_ALIVE  # the headers go out at once
    changes = live.changes()
    try:
        async for change in changes:
            yield KEEP_ALIVE if change is None else event("live", change)
    finally:
        await changes.aclose()


def notices(connection: Connection, workers: tuple[PoolWorker, ...], *, is_fleet: bool = False) -> tuple[Notice, ...]:
    """What is wrong, the worst first."""
    found: list[Notice] = []
    if connection.state is ConnectionState.LOST:
        found.append(_lost(connection))
    found += [
        Notice(text=f"The control plane's {name} is not well: {why}", remedy="kubiya doctor")
        for name, why in connection.checks.items()
        if why is not None
    ]
    found += [notice for worker in workers if (notice := _of_worker(worker)) is not None]
    if is_fleet:
        found += [notice for worker in workers if (notice := _of_remote(worker, workers)) is not None]
    is_told = not is_fleet or connection.state is not ConnectionState.LOST
    if is_told and not any(_lives(worker) for worker in workers):
        found.append(
            Notice(text="No worker runs.", remedy="kubiya worker start --queue-id=my-queue --type=local -d"),
        )
    return tuple(found)


def _lost(connection: Connection) -> Notice:
    why = connection.samples[-1].error if connection.samples else None
    remedy = "kubiya server start" if connection.embedded else f"check the address {connection.url}: kubiya doctor"
    return Notice(text=f"The control plane does not answer: {why or 'no word yet'}", remedy=remedy)


def _of_worker(worker: PoolWorker) -> Notice | None:
    record = worker.record
    if record is None:
        return None
    look = f"kubiya worker logs --queue-id={record.queue} --tail=50"
    if record.state in (UpkeepState.FAILED, UpkeepState.CRASH_LOOPING, UpkeepState.RESTARTING):
        return Notice(text=f"The worker of queue {record.queue} is {record.state}: {record.reason}", remedy=look)
    report = worker.report
    if record.state is UpkeepState.RUNNING and report is not None and not report.ready:
        return Notice(text=f"The worker of queue {record.queue} is not ready: {report.reason}", remedy=look)
    return None


def _of_remote(worker: PoolWorker, others: tuple[PoolWorker, ...]) -> Notice | None:
    told = worker.remote
    if told is None:
        return None
    name = f"A worker of queue {told.queue_name} on {told.hostname or 'a host that it did not name'}"
    look = f"on that host: kubiya worker logs --queue-id={told.queue_name} --tail=50"
    if told.status is WorkerStatus.CRASH_LOOPING:
        return Notice(text=f"{name} crashes again and again: {told.disconnect_reason}", remedy=look)
    if told.status is WorkerStatus.LOST and not any(_follows(other.remote, told) for other in others):
        return Notice(text=f"{name} is lost: {told.disconnect_reason}", remedy=look)
    report = worker.report
    if report is not None and told.status is WorkerStatus.ACTIVE and not report.ready:
        return Notice(text=f"{name} is not ready: {report.reason}", remedy=look)
    return None


def _follows(one: Worker | None, gone: Worker) -> bool:
    """Whether a worker does the work of one that is gone, on the same host."""
    if one is None or not one.status.is_live:
        return False
    return (one.hostname, one.queue_id) == (gone.hostname, gone.queue_id)


def _lives(worker: PoolWorker) -> bool:
    over = worker.record is not None and worker.record.state.is_over
    return not over and worker.listed.state not in ("lost", "disconnected", "crash_looping")
