"""One snapshot of all that changes by itself, told to every page when it has changed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

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
from kubiya_workers.contracts.workers import Worker
from kubiya_workers.launchers.litellm.config import masked
from kubiya_workers.launchers.litellm.refusing import STOPPED
from kubiya_workers.settings.paths import Paths

from . import pool, proxy
from .contact import Contacts, ControlPlane

EVERY_S = 1.0
KEEP_ALIVE_S = 15.0
_REMOTE_EVERY_S = 3.0
_CONFIGURATION_EVERY_S = 30.0
_MINUTES = 60
_MOST_WORKERS = 1000


@dataclass(frozen=True)
class _Remote:
    """What the control plane said last."""

    workers: tuple[Worker, ...] = ()
    minutes: tuple[Minute, ...] = ()
    backlog: tuple[QueueBacklog, ...] = ()
    configuration: JsonObject = field(default_factory=dict[str, Any])


class LiveView:
    """The present snapshot, kept current while somebody looks. `woken` makes the next one come at once."""

    def __init__(self, paths: Paths, plane: ControlPlane, over: asyncio.Event) -> None:
        self._paths = paths
        self._plane = plane
        self._over = over
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._watchers = 0
        self._remote = _Remote()
        self._configured_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()
        self.contacts = Contacts(plane, on_change=self._heard)
        self.now: Live | None = None

    async def forever(self) -> None:
        """Look at this machine each second, while somebody wants to know."""
        while True:
            if self._watchers:
                await self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), EVERY_S)
            self._wake.clear()

    async def ask_forever(self) -> None:
        """Ask the control plane for what it alone knows, while somebody wants to know."""
        while True:
            if self._watchers and self.contacts.connection.state is ConnectionState.CONNECTED:
                await self._ask()
            elif self.contacts.connection.state is ConnectionState.LOST:
                self._remote = _Remote()
            await asyncio.sleep(_REMOTE_EVERY_S)

    async def changes(self) -> AsyncGenerator[Live | None]:
        """The snapshot, and each that differs from the one before; None now and then while nothing changes."""
        if not self._watchers:
            self.now = None  # what was seen when somebody looked last is no news
        self._watchers += 1
        self._wake.set()
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

    def wake(self) -> None:
        self._wake.set()

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
        here = await pool.here(self._paths)
        now = datetime.now(UTC)
        workers = (*here, *pool.elsewhere(self._remote.workers, here, now))
        connection = self._told(here)
        fresh = Live(
            at=now,
            workers=workers,
            connection=connection,
            notices=self._notices(connection, workers),
            minutes=self._remote.minutes,
            backlog=backlogs(self._remote.backlog, here),
        )
        if self.now is None or fresh != self.now.model_copy(update={"at": now}):
            self.now = fresh
            await self._tell()

    def _notices(self, connection: Connection, workers: tuple[PoolWorker, ...]) -> tuple[Notice, ...]:
        return notices(connection, workers, proxy.kept(self._paths), self._remote.backlog)

    def _told(self, here: Sequence[PoolWorker]) -> Connection:
        """The connection, with what the workers of this machine were told when they registered."""
        reports = [worker.report for worker in here if worker.report is not None]
        host = next((report.temporal_host for report in reports if report.temporal_host), None)
        told = {"temporal_host": host, "configuration": self._remote.configuration}
        return self.contacts.connection.model_copy(update=told)

    async def _ask(self) -> None:
        try:
            client = await self._plane.client()
            workers = await client.workers.list(limit=_MOST_WORKERS)
            minutes = await client.executions.activity(minutes=_MINUTES)
            backlog = await client.executions.backlog()
            configuration = await self._configuration(client)
        except Refusal:
            return  # the contacts say so
        self._remote = _Remote(tuple(workers), tuple(minutes), tuple(backlog), configuration)
        self._wake.set()

    async def _configuration(self, client: ControlPlaneClient) -> JsonObject:
        """What the workers of this machine are configured with, by their queue; asked for now and then."""
        now = time.monotonic()
        if self._remote.configuration and now < self._configured_until:
            return self._remote.configuration
        self._configured_until = now + _CONFIGURATION_EVERY_S
        ours = [worker.key for worker in (self.now.workers if self.now else ()) if worker.report is not None]
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


def notices(
    connection: Connection,
    workers: tuple[PoolWorker, ...],
    proxies: Mapping[str, ProxyRecord],
    backlog: Sequence[QueueBacklog] = (),
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
    found += [_unheard(waits) for waits in backlog if not waits.has_worker]
    if not any(_lives(worker) for worker in workers):
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


def _lives(worker: PoolWorker) -> bool:
    over = worker.record is not None and worker.record.state.is_over
    return not over and worker.listed.state not in ("lost", "disconnected", "crash_looping")
