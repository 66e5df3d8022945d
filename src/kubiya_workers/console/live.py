"""One snapshot of all that changes by itself, told to every page when it has changed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.console import (
    Connection,
    ConnectionState,
    Live,
    Minute,
    Notice,
    PoolWorker,
    ProxyRecord,
)
from kubiya_workers.contracts.errors import NotFound, Refusal
from kubiya_workers.contracts.pool import UpkeepState
from kubiya_workers.contracts.queues import QueueBacklog
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.contracts.workers import Worker, WorkerStatus
from kubiya_workers.launchers.litellm.config import masked
from kubiya_workers.launchers.litellm.refusing import STOPPED

from . import proxy
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
    backlog: tuple[QueueBacklog, ...] = ()
    configuration: JsonObject = field(default_factory=dict[str, Any])


class Source(Protocol):
    """Where the workers that are shown come from."""

    is_fleet: bool
    """Whether they are all that the control plane knows."""

    def proxies(self) -> Mapping[str, ProxyRecord]:
        """The LiteLLMs that are kept beside them, by their owner."""
        ...

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
        self._telling: set[asyncio.Task[None]] = set()
        self.contacts = Contacts(plane, on_change=self._heard)
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
        self._tell_soon()

    def _heard(self) -> None:
        """The control plane was asked. That it came or went is told at once: a worker may be slow to say how it is."""
        self._wake.set()
        before = self.now
        if before is None or before.connection.state is self.contacts.connection.state:
            return
        connection = self._told(before.workers)
        told = self._notices(connection, before.workers)
        self.now = before.model_copy(update={"at": datetime.now(UTC), "connection": connection, "notices": told})
        self._tell_soon()

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
            notices=self._notices(connection, workers),
            minutes=self._remote.minutes,
            backlog=backlogs(self._remote.backlog, [worker for worker in workers if worker.record is not None]),
        )
        if self.now is None or fresh != self.now.model_copy(update={"at": now}):
            self.now = fresh
            await self._tell()

    def _notices(self, connection: Connection, workers: tuple[PoolWorker, ...]) -> tuple[Notice, ...]:
        source = self._source
        return notices(connection, workers, source.proxies(), self._remote.backlog, is_fleet=source.is_fleet)

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
            backlog = await client.executions.backlog()
            configuration = await self._configuration(client)
        except Refusal:
            return  # the contacts say so
        self._remote = _Remote(True, (*live, *gone), tuple(minutes), tuple(backlog), configuration)
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

    def _tell_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

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


def notices(
    connection: Connection,
    workers: tuple[PoolWorker, ...],
    proxies: Mapping[str, ProxyRecord],
    backlog: Sequence[QueueBacklog] = (),
    *,
    is_fleet: bool = False,
) -> tuple[Notice, ...]:
    """What is wrong, the worst first, but for a control plane that is away: that is the connection's to tell.

    `proxies` are the LiteLLMs that are kept, by their owner; `backlog` is what the control plane says of its queues.
    """
    found = [
        Notice(text=f"The control plane's {name} is not well: {why}", remedy="kubiya doctor")
        for name, why in connection.checks.items()
        if why is not None
    ]
    found += [notice for owner, record in proxies.items() if (notice := _of_proxy(owner, record)) is not None]
    found += [notice for worker in workers if (notice := _of_worker(worker)) is not None]
    if is_fleet:
        found += [notice for worker in workers if (notice := _of_remote(worker, workers)) is not None]
    found += [_unheard(waits) for waits in backlog if not waits.has_worker]
    is_told = not is_fleet or connection.state is not ConnectionState.LOST
    if is_told and not any(_lives(worker) for worker in workers):
        found.append(
            Notice(text="No worker runs.", remedy="kubiya worker start --queue-id=my-queue --type=local -d"),
        )
    return tuple(found)


def backlogs(remote: Sequence[QueueBacklog], here: Sequence[PoolWorker]) -> dict[str, int]:
    """What waits, by queue: the workers of this machine know better, and of more, than the control plane."""
    told = {waits.queue: waits.executions for waits in remote}
    return told | {w.listed.queue: w.report.backlog for w in here if w.report and w.report.backlog is not None}


def _unheard(waits: QueueBacklog) -> Notice:
    what = "1 execution waits" if waits.executions == 1 else f"{waits.executions} executions wait"
    return Notice(
        text=f"{what} in queue {waits.queue}, and no worker polls it.",
        remedy=f"kubiya worker start --queue-id={waits.queue} --type=local -d",
    )


def _of_proxy(owner: str, record: ProxyRecord) -> Notice | None:
    whose = proxy.named(owner)
    if record.state in ("stopping", "stopped"):
        beside = "takes no work" if owner != proxy.SERVER else "answers none of its models' calls"
        return Notice(
            text=f"The LiteLLM of {whose} was stopped by a person: {whose} {beside} until it is started.",
            remedy="Start it on the page LLM Proxy.",
        )
    if record.state == "failed":
        return Notice(
            text=f"The LiteLLM of {whose} does not start: {record.reason}", remedy="Its log is on the page Logs."
        )
    return None


def _of_worker(worker: PoolWorker) -> Notice | None:
    record = worker.record
    if record is None:
        return None
    look = f"kubiya worker logs --queue-id={record.queue} --tail=50"
    if record.state in (UpkeepState.FAILED, UpkeepState.CRASH_LOOPING, UpkeepState.RESTARTING):
        return Notice(text=f"The worker of queue {record.queue} is {record.state}: {record.reason}", remedy=look)
    report = worker.report
    if report is not None and report.reason is not None and report.reason.startswith(STOPPED):
        return None  # the LiteLLM's own notice says it
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
