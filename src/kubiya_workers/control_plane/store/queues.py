"""The statements of worker queues."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import EnvironmentId, QueueId
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.workers import WorkerStatus

from .documents import by_id_or_name, from_row, to_row
from .errors import taken
from .tables import queues, workers

LIVE = [status.value for status in WorkerStatus if status.is_live]

LOST_SHOWN = timedelta(hours=1)
"""How long a queue speaks of a worker that was lost and did not come back."""


async def insert(connection: AsyncConnection, queue: Queue) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"a worker queue named {queue.name!r}"):
        await connection.execute(sa.insert(queues).values(to_row(queues, queue)))


async def find(connection: AsyncConnection, id_or_name: str) -> Queue | None:
    """By id or by name; an id wins. Its workers are counted now."""
    row = (await connection.execute(_FIND, {"ref": id_or_name, **_since()})).mappings().first()
    return None if row is None else _queue(row)


async def lock(connection: AsyncConnection, queue_id: QueueId) -> None:
    """Hold the queue until the transaction ends, so that what is counted of it stays true."""
    await connection.execute(sa.select(queues.c.id).where(queues.c.id == queue_id).with_for_update())


async def list_(
    connection: AsyncConnection,
    *,
    environment_id: EnvironmentId | None = None,
    skip: int = 0,
    limit: int | None = None,
) -> Sequence[Queue]:
    """In the order of their names; `limit` None means all."""
    query = sa.select(queues, *_COUNTS).order_by(queues.c.name).offset(skip).limit(limit)
    if environment_id is not None:
        query = query.where(queues.c.environment_id == environment_id)
    return [_queue(row) for row in (await connection.execute(query, _since())).mappings()]


async def update(connection: AsyncConnection, queue: Queue) -> None:
    await connection.execute(sa.update(queues).where(queues.c.id == queue.id).values(to_row(queues, queue)))


async def delete(connection: AsyncConnection, queue_id: QueueId) -> None:
    await connection.execute(sa.delete(queues).where(queues.c.id == queue_id))


def _counts() -> tuple[sa.Label[int], ...]:
    """The fields of a queue that are counted; what is lost counts from `since`, a parameter."""
    since = sa.bindparam("since", type_=workers.c.disconnected_at.type)
    back = workers.alias("back")
    is_back = sa.exists().where(
        back.c.queue_id == workers.c.queue_id, back.c.hostname == workers.c.hostname, back.c.status.in_(LIVE)
    )
    lost = workers.c.status == WorkerStatus.LOST.value
    return (
        _count("active_workers", workers.c.status.in_(LIVE)),
        _count("paused_workers", workers.c.status == WorkerStatus.PAUSED.value),
        _count("lost_workers", lost, workers.c.disconnected_at >= since, sa.not_(is_back)),
        _count("crash_looping_workers", workers.c.status == WorkerStatus.CRASH_LOOPING.value),
    )


def _count(label: str, *of: sa.ColumnElement[bool]) -> sa.Label[int]:
    counted: Any = sa.select(sa.func.count()).select_from(workers).where(workers.c.queue_id == queues.c.id, *of)
    return counted.correlate(queues).scalar_subquery().label(label)


def _since() -> dict[str, datetime]:
    return {"since": datetime.now(UTC) - LOST_SHOWN}


_COUNTS = _counts()
_FIND = by_id_or_name(queues, *_COUNTS)


def _queue(row: RowMapping) -> Queue:
    return from_row(Queue, row)
