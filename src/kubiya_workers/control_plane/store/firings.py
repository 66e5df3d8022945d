"""The statements of firings: what became of each time that a job was due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import ExecutionId, FiringId, JobId, KeyId
from kubiya_workers.contracts.jobs import Firing, Outcome, TriggerType

from .dialects import insert_if_none, without_nul
from .tables import executions, job_firings

_OPEN = [status.value for status in Status if not status.is_terminal]
_INTERNAL = {"prompt", "key_id", "owner", "claimed_at"}
_SHOWN = [column for column in job_firings.c if column.name not in _INTERNAL]
_WITH_STATUS = (*_SHOWN, executions.c.status.label("execution_status"))
_FROM = job_firings.outerjoin(executions, executions.c.id == job_firings.c.execution_id)
_NEWEST = (job_firings.c.created_at.desc(), job_firings.c.id)


@dataclass(frozen=True)
class Claim:
    """A firing that is to be submitted, by its `owner` and in the name of a key."""

    firing: Firing
    prompt: str
    key_id: KeyId


async def insert(
    connection: AsyncConnection, firing: Firing, *, owner: str, prompt: str | None = None, key_id: KeyId | None = None
) -> bool:
    """Whether it is new."""
    values = {**_columns(firing), "owner": owner, "key_id": key_id, "claimed_at": firing.created_at}
    values["prompt"] = None if prompt is None else without_nul(prompt)
    return (await connection.execute(insert_if_none(connection, job_firings).values(values))).rowcount > 0


async def replace(
    connection: AsyncConnection, firing: Firing, *, owner: str, prompt: str | None = None, key_id: KeyId | None = None
) -> None:
    """Store one anew that was not fired before."""
    await connection.execute(sa.delete(job_firings).where(job_firings.c.id == firing.id))
    await insert(connection, firing, owner=owner, prompt=prompt, key_id=key_id)


async def get(connection: AsyncConnection, firing_id: FiringId) -> Firing | None:
    query = sa.select(*_WITH_STATUS).select_from(_FROM).where(job_firings.c.id == firing_id)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _firing(row)


async def settle(
    connection: AsyncConnection,
    firing_id: FiringId,
    outcome: Outcome,
    *,
    reason: str | None,
    execution_id: ExecutionId | None = None,
) -> None:
    """Say what became of a pending one. Its prompt is the execution's from here on.

    Two may have tried: that one of them made the execution wins over what the other was refused for.
    """
    open_to = [Outcome.PENDING.value, *([Outcome.REFUSED.value] if outcome is Outcome.FIRED else [])]
    which = sa.and_(job_firings.c.id == firing_id, job_firings.c.outcome.in_(open_to))
    values = {"outcome": outcome.value, "reason": reason, "execution_id": execution_id, "prompt": None}
    await connection.execute(sa.update(job_firings).where(which).values(values))


async def take_over(
    connection: AsyncConnection, owner: str, now: datetime, *, before: datetime, own: bool
) -> Sequence[Claim]:
    """Those that are pending since `before`, and with `own` all of this owner's: they are its own from now on."""
    left = job_firings.c.claimed_at < before
    if own:
        left = sa.or_(left, job_firings.c.owner == owner)
    query = sa.select(job_firings).where(job_firings.c.outcome == Outcome.PENDING.value, left)
    rows = (await connection.execute(query.with_for_update(skip_locked=True))).mappings().all()
    if rows:
        mine = job_firings.c.id.in_([row["id"] for row in rows])
        await connection.execute(sa.update(job_firings).where(mine).values(owner=owner, claimed_at=now))
    return [Claim(_firing(row), row["prompt"], row["key_id"]) for row in rows]


async def any_pending(connection: AsyncConnection) -> bool:
    known = sa.select(sa.exists().where(job_firings.c.outcome == Outcome.PENDING.value))
    return bool((await connection.execute(known)).scalar_one())


async def running(connection: AsyncConnection, job_id: JobId) -> str | None:
    """What of a job still runs, in words; None when nothing does."""
    ours = executions.c.job_id == job_id
    query = sa.select(executions.c.id).where(ours, executions.c.status.in_(_OPEN)).limit(1)
    found = (await connection.execute(query)).scalar_one_or_none()
    if found is not None:
        return f"execution {found}"
    pending = sa.and_(job_firings.c.job_id == job_id, job_firings.c.outcome == Outcome.PENDING.value)
    begun = (await connection.execute(sa.select(job_firings.c.id).where(pending).limit(1))).scalar_one_or_none()
    return None if begun is None else "one that is being submitted"


async def count_since(connection: AsyncConnection, job_id: JobId, trigger: TriggerType, since: datetime) -> int:
    query = sa.select(sa.func.count()).select_from(job_firings)
    of_job = (job_firings.c.job_id == job_id, job_firings.c.trigger == trigger.value)
    return (await connection.execute(query.where(*of_job, job_firings.c.created_at > since))).scalar_one()


async def list_(connection: AsyncConnection, job_id: JobId, *, skip: int = 0, limit: int) -> Sequence[Firing]:
    """Newest first."""
    query = sa.select(*_WITH_STATUS).select_from(_FROM).where(job_firings.c.job_id == job_id)
    rows = await connection.execute(query.order_by(*_NEWEST).offset(skip).limit(limit))
    return [_firing(row) for row in rows.mappings()]


async def last_of(connection: AsyncConnection, job_ids: Sequence[JobId]) -> Mapping[JobId, Firing]:
    """The newest of each of these jobs."""
    place = sa.func.row_number().over(partition_by=job_firings.c.job_id, order_by=_NEWEST).label("place")
    query = sa.select(*_WITH_STATUS, place).select_from(_FROM).where(job_firings.c.job_id.in_(job_ids))
    ranked = query.subquery()
    rows = await connection.execute(sa.select(ranked).where(ranked.c.place == 1))
    return {JobId(row["job_id"]): _firing(row) for row in rows.mappings()}


async def prune(connection: AsyncConnection, job_id: JobId, keep: int) -> None:
    """Delete all of a job but the newest; one that is pending stays."""
    of_job = job_firings.c.job_id == job_id
    oldest = sa.select(job_firings.c.created_at).where(of_job).order_by(*_NEWEST).offset(keep - 1).limit(1)
    old = sa.and_(of_job, job_firings.c.created_at < oldest.scalar_subquery())
    await connection.execute(sa.delete(job_firings).where(old, job_firings.c.outcome != Outcome.PENDING.value))


def _columns(firing: Firing) -> dict[str, Any]:
    values = firing.model_dump(exclude={"execution_status"})
    return {**values, "trigger": firing.trigger.value, "outcome": firing.outcome.value}


def _firing(row: RowMapping) -> Firing:
    return Firing.model_validate(dict(row))
