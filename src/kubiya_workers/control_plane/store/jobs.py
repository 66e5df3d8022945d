"""The statements of jobs. What became of the times that they were due is in `firings`."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import JobId
from kubiya_workers.contracts.jobs import Job

from .documents import from_row, to_row
from .errors import taken
from .tables import jobs


class StoredJob(Job):
    """With what is never shown of it."""

    webhook_number: int = 1
    webhook_secret: str | None = Field(default=None, repr=False)


async def insert(connection: AsyncConnection, job: StoredJob) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"a job named {job.name!r}"):
        await connection.execute(sa.insert(jobs).values(to_row(jobs, job)))


async def find(connection: AsyncConnection, id_or_name: str) -> StoredJob | None:
    """By id or by name; an id wins."""
    named = sa.or_(jobs.c.id == id_or_name, jobs.c.name == id_or_name)
    query = sa.select(jobs).where(named).order_by(sa.desc(jobs.c.id == id_or_name)).limit(1)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else from_row(StoredJob, row)


async def get(connection: AsyncConnection, job_id: JobId) -> StoredJob | None:
    row = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id))).mappings().first()
    return None if row is None else from_row(StoredJob, row)


async def lock(connection: AsyncConnection, job_id: JobId) -> StoredJob | None:
    """As it is, and as it stays until the transaction ends."""
    row = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id).with_for_update())).mappings().first()
    return None if row is None else from_row(StoredJob, row)


async def list_(connection: AsyncConnection, *, skip: int = 0, limit: int | None = None) -> Sequence[StoredJob]:
    """In the order of their names; `limit` None means all."""
    query = sa.select(jobs).order_by(jobs.c.name).offset(skip).limit(limit)
    return [from_row(StoredJob, row) for row in (await connection.execute(query)).mappings()]


async def due(connection: AsyncConnection, now: datetime, *, limit: int) -> Sequence[StoredJob]:
    """Those whose time has come, the longest overdue first."""
    query = sa.select(jobs).where(jobs.c.next_at <= now).order_by(jobs.c.next_at, jobs.c.id).limit(limit)
    return [from_row(StoredJob, row) for row in (await connection.execute(query)).mappings()]


async def next_at(connection: AsyncConnection) -> datetime | None:
    """When the next of all jobs is due."""
    return (await connection.execute(sa.select(sa.func.min(jobs.c.next_at)))).scalar_one()


async def move(connection: AsyncConnection, job_id: JobId, to: datetime | None) -> None:
    """Say when it is due next."""
    await connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(next_at=to))


async def update(connection: AsyncConnection, job: StoredJob) -> None:
    """Store every field anew. Raises `Conflict` when the name is taken."""
    with taken(f"a job named {job.name!r}"):
        await connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(to_row(jobs, job)))


async def delete(connection: AsyncConnection, job_id: JobId) -> None:
    """The job and its firings; its executions stay."""
    await connection.execute(sa.delete(jobs).where(jobs.c.id == job_id))
