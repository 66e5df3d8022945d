"""Which runs that are over have been sent as a trace."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.executions import Execution
from kubiya_workers.contracts.ids import ExecutionId

from .executions import SHOWN, as_shown
from .tables import executions


async def untraced(connection: AsyncConnection, *, since: datetime, limit: int) -> Sequence[Execution]:
    """Runs that ended since then and were not sent yet, the oldest first."""
    columns = executions.c
    query = (
        sa.select(*SHOWN)
        .where(columns.completed_at >= since, columns.traced_at.is_(None))
        .order_by(columns.completed_at)
        .limit(limit)
    )
    return [as_shown(row) for row in (await connection.execute(query)).mappings()]


async def mark_traced(connection: AsyncConnection, execution_id: ExecutionId, now: datetime) -> None:
    await connection.execute(sa.update(executions).where(executions.c.id == execution_id).values(traced_at=now))
