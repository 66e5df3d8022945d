"""The statements of workers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import EnvironmentId, QueueId, WorkerId
from kubiya_workers.contracts.workers import Heartbeat, Wish, Worker, WorkerStatus

from .queues import LIVE
from .tables import queues, workers

_SHOWN = [column for column in workers.c if column.name != "heartbeat_interval"]
_IS_LIVE = workers.c.status.in_(LIVE)


class Pulse(NamedTuple):
    """When a live worker was heard last, and how often (in seconds) it should be."""

    id: WorkerId
    last_heartbeat: datetime
    heartbeat_interval: int


async def insert(connection: AsyncConnection, worker: Worker, *, heartbeat_interval: int) -> None:
    row = {**worker.model_dump(), "status": worker.status.value, "heartbeat_interval": heartbeat_interval}
    await connection.execute(sa.insert(workers).values(row))


async def get(connection: AsyncConnection, worker_id: WorkerId) -> Worker | None:
    row = (await connection.execute(sa.select(*_SHOWN).where(workers.c.id == worker_id))).mappings().first()
    return None if row is None else Worker.model_validate(dict(row))


async def list_(
    connection: AsyncConnection,
    *,
    queue_id: QueueId | None = None,
    live: bool | None = None,
    skip: int = 0,
    limit: int | None = None,
) -> Sequence[Worker]:
    """Newest registration first; `live` None means live or not."""
    query = sa.select(*_SHOWN).order_by(workers.c.registered_at.desc(), workers.c.id).offset(skip).limit(limit)
    if queue_id is not None:
        query = query.where(workers.c.queue_id == queue_id)
    if live is not None:
        query = query.where(_IS_LIVE if live else sa.not_(_IS_LIVE))
    return [Worker.model_validate(dict(row)) for row in (await connection.execute(query)).mappings()]


async def count_live(connection: AsyncConnection, queue_id: QueueId) -> int:
    query = sa.select(sa.func.count()).select_from(workers).where(workers.c.queue_id == queue_id, _IS_LIVE)
    return (await connection.execute(query)).scalar_one()


async def queue_of_newest_live(
    connection: AsyncConnection, environment_id: EnvironmentId | None, *, or_paused: bool
) -> QueueId | None:
    """The queue of the worker that takes work and registered last, `or_paused` else of one that is paused.

    Queues that go with their workers are not meant: those were made for something of their own.
    """
    active = workers.c.status == WorkerStatus.ACTIVE.value
    paused = workers.c.status == WorkerStatus.PAUSED.value
    order = (sa.case((active, 0), else_=1), workers.c.registered_at.desc())
    query = sa.select(workers.c.queue_id).join(queues, queues.c.id == workers.c.queue_id)
    query = query.where(sa.or_(active, paused) if or_paused else active, sa.not_(queues.c.ephemeral))
    if environment_id is not None:
        query = query.where(queues.c.environment_id == environment_id)
    return (await connection.execute(query.order_by(*order).limit(1))).scalar_one_or_none()


async def beat(connection: AsyncConnection, worker_id: WorkerId, beat: Heartbeat, now: datetime) -> bool:
    """Note a heartbeat; False when there is no such live worker."""
    values: dict[str, Any] = {
        "status": beat.status.value,
        "tasks_processed": beat.tasks_processed,
        "current_task_id": beat.current_task_id,
        "worker_metadata": beat.worker_metadata,
        "last_heartbeat": now,
    }
    if beat.system_info is not None:
        values["system_info"] = beat.system_info
    changed = await connection.execute(sa.update(workers).where(workers.c.id == worker_id, _IS_LIVE).values(values))
    return changed.rowcount > 0


async def ask(connection: AsyncConnection, worker_id: WorkerId, wish: Wish) -> bool:
    """Keep what is asked of a worker, in place of what was before; False when there is no such live worker."""
    query = sa.update(workers).where(workers.c.id == worker_id, _IS_LIVE)
    return (await connection.execute(query.values(wish=wish.model_dump(mode="json")))).rowcount > 0


async def wish_of(connection: AsyncConnection, worker_id: WorkerId) -> Wish | None:
    """What was asked of it last."""
    found = (await connection.execute(sa.select(workers.c.wish).where(workers.c.id == worker_id))).scalar_one_or_none()
    return None if found is None else Wish.model_validate(found)


async def with_wishes(connection: AsyncConnection) -> Sequence[WorkerId]:
    """The live workers of which something is wanted that they have not heard yet."""
    unheard = (workers.c.wish.is_not(None), workers.c.wish["heard_at"].as_string().is_(None))
    return [WorkerId(row.id) for row in await connection.execute(sa.select(workers.c.id).where(_IS_LIVE, *unheard))]


async def pulses(connection: AsyncConnection) -> Sequence[Pulse]:
    """Of every live worker."""
    query = sa.select(workers.c.id, workers.c.last_heartbeat, workers.c.heartbeat_interval).where(_IS_LIVE)
    return [Pulse(*row) for row in await connection.execute(query)]


async def end(
    connection: AsyncConnection,
    worker_id: WorkerId,
    status: WorkerStatus,
    now: datetime,
    *,
    reason: str,
    unheard_since: datetime | None = None,
) -> bool:
    """Mark a live worker as gone; with `unheard_since`, only if it was not heard after that moment."""
    query = sa.update(workers).where(workers.c.id == worker_id, _IS_LIVE)
    if unheard_since is not None:
        query = query.where(workers.c.last_heartbeat <= unheard_since)
    values = {"status": status.value, "disconnected_at": now, "disconnect_reason": reason, "current_task_id": None}
    return (await connection.execute(query.values(values))).rowcount > 0


async def gone_from(connection: AsyncConnection, queue_id: QueueId, hostname: str) -> WorkerId | None:
    """The worker of this host on the queue that is not live and left last; one that is said to loop before others."""
    loops = workers.c.status == WorkerStatus.CRASH_LOOPING.value
    theirs = (workers.c.queue_id == queue_id, workers.c.hostname == hostname, sa.not_(_IS_LIVE))
    order = (sa.case((loops, 0), else_=1), workers.c.disconnected_at.desc())
    return (await connection.execute(sa.select(workers.c.id).where(*theirs).order_by(*order).limit(1))).scalar()


async def note_loop(connection: AsyncConnection, worker_id: WorkerId, now: datetime, *, reason: str) -> None:
    """A worker that is gone crashes again and again, and was last heard of now."""
    values = {"status": WorkerStatus.CRASH_LOOPING.value, "last_heartbeat": now, "disconnected_at": now}
    change = sa.update(workers).where(workers.c.id == worker_id, sa.not_(_IS_LIVE))
    await connection.execute(change.values(**values, disconnect_reason=reason))


async def end_loop(connection: AsyncConnection, queue_id: QueueId, hostname: str) -> None:
    """The worker of this host runs again."""
    looping = (workers.c.status == WorkerStatus.CRASH_LOOPING.value, workers.c.hostname == hostname)
    change = sa.update(workers).where(workers.c.queue_id == queue_id, *looping)
    await connection.execute(change.values(status=WorkerStatus.DISCONNECTED.value))


async def end_silent_loops(connection: AsyncConnection, unheard_since: datetime) -> None:
    """Those of which nobody has said for so long that they loop: whatever started them is gone."""
    looping = (workers.c.status == WorkerStatus.CRASH_LOOPING.value, workers.c.last_heartbeat <= unheard_since)
    await connection.execute(sa.update(workers).where(*looping).values(status=WorkerStatus.LOST.value))


async def delete_gone(connection: AsyncConnection, queue_id: QueueId) -> None:
    """Delete the rows of a queue's workers that are not live."""
    await connection.execute(sa.delete(workers).where(workers.c.queue_id == queue_id, sa.not_(_IS_LIVE)))
