"""The statements that count, for monitoring: each goes by an index over what is open or live, never over all rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.workers import WorkerStatus

from . import tables

_OPEN = [status.value for status in Status if not status.is_terminal]
_WATCHED = [status.value for status in WorkerStatus if status.is_live or status is WorkerStatus.CRASH_LOOPING]
NO_QUEUE = "(none)"


class WorkersOfQueue(NamedTuple):
    queue: str
    ephemeral: bool
    status: WorkerStatus
    number: int
    oldest_heartbeat: datetime


class OpenRuns(NamedTuple):
    queue: str
    ephemeral: bool
    status: Status
    number: int


async def workers(connection: AsyncConnection, *, lost_since: datetime) -> Sequence[WorkersOfQueue]:
    """Of each queue and state: the live, the crash-looping, and those that were lost since then."""
    table, queues = tables.workers, tables.queues
    lost = sa.and_(table.c.status == WorkerStatus.LOST.value, table.c.disconnected_at >= lost_since)
    ephemeral = sa.func.coalesce(queues.c.ephemeral, sa.true())
    query = (
        sa.select(table.c.queue_name, ephemeral, table.c.status, sa.func.count(), sa.func.min(table.c.last_heartbeat))
        .join_from(table, queues, queues.c.id == table.c.queue_id, isouter=True)
        .where(sa.or_(table.c.status.in_(_WATCHED), lost))
        .group_by(table.c.queue_name, ephemeral, table.c.status)
    )
    rows = await connection.execute(query)
    return [WorkersOfQueue(name, bool(e), WorkerStatus(status), n, beat) for name, e, status, n, beat in rows]


async def open_runs(connection: AsyncConnection) -> Sequence[OpenRuns]:
    """Of each queue and status: the executions that are not over."""
    table, queues = tables.executions, tables.queues
    name = sa.func.coalesce(queues.c.name, NO_QUEUE)
    ephemeral = sa.func.coalesce(queues.c.ephemeral, sa.false())
    query = (
        sa.select(name, ephemeral, table.c.status, sa.func.count())
        .join_from(table, queues, queues.c.id == table.c.worker_queue_id, isouter=True)
        .where(table.c.status.in_(_OPEN))
        .group_by(name, ephemeral, table.c.status)
    )
    rows = await connection.execute(query)
    return [OpenRuns(queue, bool(e), Status(status), count) for queue, e, status, count in rows]


async def on_demand(connection: AsyncConnection) -> Mapping[str, int]:
    """How many workers on demand there are in each state."""
    state = tables.provisions.c.state
    rows = await connection.execute(sa.select(state, sa.func.count()).group_by(state))
    return {row[0]: row[1] for row in rows}
