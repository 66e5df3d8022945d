"""The workers of this machine, those that the control plane knows beside them, and what can be done to ours."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from kubiya_workers.contracts.console import PoolWorker, ProxyRecord
from kubiya_workers.contracts.errors import Conflict, NotFound, Refusal
from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.contracts.pool import Pause, Record, UpkeepState, WorkerReport
from kubiya_workers.contracts.workers import REPORT, Action, Worker
from kubiya_workers.launchers.upkeep import daemon, listing, pauses, records
from kubiya_workers.launchers.upkeep.asking import report_of
from kubiya_workers.launchers.worker_process import DRAIN_S
from kubiya_workers.observability import logs
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

from . import proxy

log = logs.get(__name__)

_HEARD_WITHIN_S = 3.0
_LOOK_S = 0.1
_LATELY_S = 3600.0


class ThisMachine:
    """The workers of this machine, and those that the control plane knows elsewhere."""

    is_fleet = False

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def proxies(self) -> Mapping[str, ProxyRecord]:
        return proxy.kept(self._paths)

    async def workers(self, known: Sequence[Worker], now: datetime) -> list[PoolWorker]:
        ours = await here(self._paths)
        return [*ours, *elsewhere(known, ours, now)]


async def here(paths: Paths) -> list[PoolWorker]:
    """The workers that were ever kept on this machine, by their queue."""
    kept = await asyncio.to_thread(records.all_, paths)
    reports = await asyncio.gather(*map(report_of, kept))
    return [_ours(paths, record, report) for record, report in zip(kept, reports, strict=True)]


def elsewhere(workers: Sequence[Worker], ours: Sequence[PoolWorker], now: datetime) -> list[PoolWorker]:
    """Those that live, or did a while ago, on other machines."""
    own = {worker.listed.worker_id for worker in ours}
    here_before = {(worker.listed.hostname, worker.listed.queue) for worker in ours if worker.listed.hostname}
    return [
        told_of(worker)
        for worker in workers
        if worker.id not in own and (worker.hostname, worker.queue_name) not in here_before and is_news(worker, now)
    ]


def is_news(worker: Worker, now: datetime) -> bool:
    """Whether it lives, or did a while ago."""
    return worker.status.is_live or (now - worker.last_heartbeat).total_seconds() < _LATELY_S


def told_of(worker: Worker) -> PoolWorker:
    """A worker as the control plane tells of it, with what it said itself at its last heartbeat."""
    report = _report(worker) if worker.status.is_live else None
    return PoolWorker(
        key=worker.id,
        listed=listing.elsewhere(worker),
        report=report,
        pause=report.pause if report else None,
        remote=worker.model_copy(update={"worker_metadata": {}}),
        actions=worker.can,
    )


def _report(worker: Worker) -> WorkerReport | None:
    """None where it says nothing of itself, as one of an older version."""
    try:
        return WorkerReport.model_validate(worker.worker_metadata.get(REPORT))
    except ValidationError:
        return None


def actions(record: Record, report: WorkerReport | None, pause: Pause | None) -> tuple[Action, ...]:
    """What can be asked of a worker of this machine now."""
    if record.state.is_over or record.state is UpkeepState.STOPPING:
        return (Action.RESUME,) if pause else ()
    found = [Action.RESUME if pause else Action.PAUSE, Action.DRAIN]
    if report is not None and daemon.takes_restart(record):
        found.append(Action.RESTART)
    return tuple(found)


def _ours(paths: Paths, record: Record, report: WorkerReport | None) -> PoolWorker:
    pause = pauses.read(paths, record.queue)
    return PoolWorker(
        key=record.queue,
        listed=listing.here(record, report),
        record=record,
        report=report,
        pause=pause,
        actions=actions(record, report, pause),
        log=f"worker/{record.queue}",
    )


class Pool:
    """Acts on the workers of this machine. What takes longer than a page waits goes on without it."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._going_on: set[asyncio.Task[None]] = set()

    async def act(self, key: str, action: Action, *, note: str | None = None) -> PoolWorker:
        """The worker, once it has heard of it, or after a moment.

        Raises:
            NotFound: no worker of this machine has that key.
            Conflict: this cannot be asked of it now.
        """
        worker = await self._get(key)
        if action not in worker.actions:
            raise Conflict(f"the worker of queue {key} is {worker.listed.state}: it cannot be asked to {action} now")
        log.info("Asked by a page", action=action, queue=key)
        match action:
            case Action.PAUSE:
                pauses.write(self._paths, key, Pause(note=note or "from the web interface", since=datetime.now(UTC)))
            case Action.RESUME:
                pauses.remove(self._paths, key)
            case Action.DRAIN:
                self._begin(self._drain(key))
            case Action.RESTART:
                assert worker.record is not None  # it is one of ours
                daemon.restart(worker.record)
        return await self._heard(worker, action)

    async def close(self) -> None:
        for task in self._going_on:
            task.cancel()
        await asyncio.gather(*self._going_on, return_exceptions=True)

    async def _get(self, key: str) -> PoolWorker:
        record = await asyncio.to_thread(records.read, self._paths, key) if is_safe_name(key) else None
        if record is None:
            raise NotFound(f"no worker of this machine is called {key}", fix="kubiya worker list")
        return _ours(self._paths, record, await report_of(record))

    async def _drain(self, queue: str) -> None:
        try:
            await daemon.stop(self._paths, queue, DRAIN_S)
        except (OSError, Refusal, BadSetting) as error:
            log.error("Worker could not be drained", queue=queue, reason=str(error))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)

    async def _heard(self, before: PoolWorker, action: Action) -> PoolWorker:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HEARD_WITHIN_S
        while True:
            now = await self._get(before.key)
            if _has_heard(before, now, action) or loop.time() > deadline:
                return now
            await asyncio.sleep(_LOOK_S)


def _has_heard(before: PoolWorker, now: PoolWorker, action: Action) -> bool:
    if action in (Action.PAUSE, Action.RESUME):
        return now.report is None or (now.report.pause is not None) == (action is Action.PAUSE)
    return now.listed.state != before.listed.state or now.listed.pid != before.listed.pid
