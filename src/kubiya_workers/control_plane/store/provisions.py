"""The statements of workers on demand."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import EnvironmentId, ExecutionId, QueueId
from kubiya_workers.contracts.workers import WorkerStatus

from .tables import provisions, queues, workers


class State(StrEnum):
    WANTED = "wanted"
    """Nobody has begun to start it: all that may be there at once are there, or it is new."""
    SERVING = "serving"
    """Its owner starts it, keeps it and removes it."""
    KEPT = "kept"
    """Its execution is over, and it was left for inspection."""


@dataclass(frozen=True)
class Provision:
    """A worker on demand, for one execution, on a queue of its own; `execution_id` None for a warm one.

    `owner` is the control plane that looks after it, last heard at `seen_at`; `kind` is how that started it.
    """

    queue_id: QueueId
    name: str
    execution_id: ExecutionId | None
    state: State
    created_at: datetime
    seen_at: datetime
    kind: str | None = None
    owner: str | None = None
    attempt: int = 0
    keep: bool = False


_LINE = (provisions.c.execution_id.is_(None), provisions.c.created_at, provisions.c.queue_id)
"""The order in which they are started: warm ones last."""


async def insert(connection: AsyncConnection, provision: Provision) -> None:
    await connection.execute(sa.insert(provisions).values({**asdict(provision), "state": provision.state.value}))


async def get(connection: AsyncConnection, queue_id: str) -> Provision | None:
    found = await _where(connection, provisions.c.queue_id == queue_id)
    return found[0] if found else None


async def any_(connection: AsyncConnection) -> bool:
    """Whether there is one that is wanted or served."""
    known = sa.select(sa.exists().where(provisions.c.state != State.KEPT.value))
    return bool((await connection.execute(known)).scalar_one())


async def in_state(connection: AsyncConnection, state: State) -> Sequence[Provision]:
    """In the order in which they are started."""
    return await _where(connection, provisions.c.state == state.value)


async def of_owner(connection: AsyncConnection, owner: str) -> Sequence[Provision]:
    return await _where(connection, provisions.c.owner == owner)


async def change(connection: AsyncConnection, queue_id: QueueId, **values: Any) -> None:
    await connection.execute(sa.update(provisions).where(provisions.c.queue_id == queue_id).values(values))


async def seen(connection: AsyncConnection, owner: str, now: datetime) -> None:
    """Their owner is there."""
    await connection.execute(sa.update(provisions).where(provisions.c.owner == owner).values(seen_at=now))


async def free(connection: AsyncConnection, environment_id: EnvironmentId) -> tuple[QueueId, str] | None:
    """The queue, with its name, of a warm worker that polls and has no execution yet."""
    query = (
        sa.select(provisions.c.queue_id, provisions.c.name)
        .join(queues, queues.c.id == provisions.c.queue_id)
        .join(workers, workers.c.queue_id == provisions.c.queue_id)
        .where(
            provisions.c.execution_id.is_(None),
            provisions.c.state == State.SERVING.value,
            queues.c.environment_id == environment_id,
            workers.c.status == WorkerStatus.ACTIVE.value,
        )
        .order_by(provisions.c.created_at)
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else (QueueId(row[0]), row[1])


async def take(connection: AsyncConnection, queue_id: QueueId, execution_id: ExecutionId, *, keep: bool) -> bool:
    """Give a warm worker its execution; False when it has gone, or has one."""
    warm = sa.and_(provisions.c.queue_id == queue_id, provisions.c.execution_id.is_(None))
    taken = await connection.execute(sa.update(provisions).where(warm).values(execution_id=execution_id, keep=keep))
    return taken.rowcount > 0


async def delete(connection: AsyncConnection, queue_id: QueueId) -> None:
    await connection.execute(sa.delete(provisions).where(provisions.c.queue_id == queue_id))


async def delete_warm(connection: AsyncConnection, queue_id: QueueId) -> bool:
    """Delete it unless an execution was given to it meanwhile; whether it is gone."""
    warm = sa.and_(provisions.c.queue_id == queue_id, provisions.c.execution_id.is_(None))
    return (await connection.execute(sa.delete(provisions).where(warm))).rowcount > 0


async def _where(connection: AsyncConnection, condition: sa.ColumnElement[bool]) -> Sequence[Provision]:
    rows = await connection.execute(sa.select(provisions).where(condition).order_by(*_LINE))
    return [_provision(row) for row in rows.mappings()]


def _provision(row: RowMapping) -> Provision:
    fields: dict[str, Any] = {**row, "state": State(row["state"])}
    return Provision(**fields)
