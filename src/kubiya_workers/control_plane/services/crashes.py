"""What a supervisor tells of its worker's crashes, so that nobody waits for heartbeats that will not come."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import Forbidden
from kubiya_workers.contracts.ids import WorkerId, new_id
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.contracts.pool import CrashReport
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.workers import Worker, WorkerStatus
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.store import keys, workers
from kubiya_workers.control_plane.store import queues as queue_store
from kubiya_workers.control_plane.store.database import Database

from . import queues

_REPORTED_S = 60
"""How often a supervisor whose worker loops tries, and says so."""


async def note(database: Database, auth: Auth, caller: Caller, queue_ref: str, report: CrashReport) -> None:
    """The worker is lost at once, and looping where the report says so. Saying it twice is fine.

    The queue stays, even one that goes with its workers: this one is to come back.

    Raises:
        Forbidden: the caller is a worker's token, or a key for another queue; or the worker is of another queue.
        NotFound: no such queue.
    """
    now = datetime.now(UTC)
    async with database.writing() as connection:
        queue = await queues.find(connection, queue_ref)
        _check(caller, queue)
        await queue_store.lock(connection, queue.id)
        if report.worker_id is not None:
            await _lose(connection, queue, report.worker_id, report.reason, now)
        if report.looping:
            await _loop(connection, queue, report, now)
    if report.worker_id is not None:
        auth.forget_worker(report.worker_id)


def _check(caller: Caller, queue: Queue) -> None:
    if caller.worker_id is not None:
        raise Forbidden("a worker's own token cannot report crashes", fix="Use the key that it was started with.")
    if caller.scope is Scope.WORKER and caller.queue_id not in (None, queue.id):
        raise Forbidden(f"this key is for another queue than {queue.name!r}")


async def _lose(connection: AsyncConnection, queue: Queue, worker_id: WorkerId, reason: str, now: datetime) -> None:
    worker = await workers.get(connection, worker_id)
    if worker is None:
        return
    if worker.queue_id != queue.id:
        raise Forbidden(f"worker {worker_id} is not of queue {queue.name!r}")
    if await workers.end(connection, worker_id, WorkerStatus.LOST, now, reason=reason):
        await keys.revoke_worker(connection, worker_id, now)


async def _loop(connection: AsyncConnection, queue: Queue, report: CrashReport, now: datetime) -> None:
    known = await workers.gone_from(connection, queue.id, report.hostname)
    if known is not None:
        await workers.note_loop(connection, known, now, reason=report.reason)
    else:
        await workers.insert(connection, _unregistered(queue, report, now), heartbeat_interval=_REPORTED_S)


def _unregistered(queue: Queue, report: CrashReport, now: datetime) -> Worker:
    return Worker(
        id=WorkerId(new_id()),
        queue_id=queue.id,
        queue_name=queue.name,
        environment_id=queue.environment_id,
        status=WorkerStatus.CRASH_LOOPING,
        hostname=report.hostname,
        pid=report.pid,
        version=report.version,
        registered_at=now,
        last_heartbeat=now,
        disconnected_at=now,
        disconnect_reason=report.reason,
    )
