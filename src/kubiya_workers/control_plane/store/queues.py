"""The statements of worker queues."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import EnvironmentId, QueueId
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.workers import WorkerStatus

from .documents import from_row, to_row
from .errors import taken
from .tables import queues, workers

LIVE = [status.value for status in WorkerStatus if status.is_live]

_ACTIVE = (
    sa.select(sa.func.count())
    .select_from(workers)
    .where(workers.c.queue_id == queues.c.id, workers.c.status.in_(LIVE))
    .scalar_subquery()
    .label("active_workers")
)


async def insert(connection: AsyncConnection, queue: Queue) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"a worker queue named {queue.name!r}"):
        await connection.execute(sa.insert(queues).values(to_row(queues, queue)))


async def find(connection: AsyncConnection, id_or_name: str) -> Queue | None:
    """By id or by name; an id wins. `active_workers` is counted now."""
    named = sa.or_(queues.c.id == id_or_name, queues.c.name == id_or_name)
    query = sa.select(queues, _ACTIVE).where(named).order_by(sa.desc(queues.c.id == id_or_name)).limit(1)
    row = (await connection.execute(query)).mappings().first()
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
    query = sa.select(queues, _ACTIVE).order_by(queues.c.name).offset(skip).limit(limit)
    if environment_id is not None:
        query = query.where(queues.c.environment_id == environment_id)
    return [_queue(row) for row in (await connection.execute(query)).mappings()]


async def update(connection: AsyncConnection, queue: Queue) -> None:
    await connection.execute(sa.update(queues).where(queues.c.id == queue.id).values(to_row(queues, queue)))


async def delete(connection: AsyncConnection, queue_id: QueueId) -> None:
    await connection.execute(sa.delete(queues).where(queues.c.id == queue_id))


def _queue(row: RowMapping) -> Queue:
    return from_row(Queue, row)
