"""The statements of API keys. The key itself never gets here: only its digest does."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import KeyId, QueueId, WorkerId
from kubiya_workers.contracts.keys import Key, Scope

from .errors import taken
from .tables import keys

_SHOWN = [column for column in keys.c if column.name != "digest"]
_BY_DIGEST = sa.select(*_SHOWN).where(keys.c.digest == sa.bindparam("wanted"))
_GET = sa.select(*_SHOWN).where(keys.c.id == sa.bindparam("wanted"))


async def insert(connection: AsyncConnection, key: Key, digest: str) -> None:
    """Raises `Conflict` when this key is stored already."""
    with taken("this key"):
        await connection.execute(sa.insert(keys).values(**key.model_dump(), digest=digest))


async def by_digest(connection: AsyncConnection, digest: str) -> Key | None:
    row = (await connection.execute(_BY_DIGEST, {"wanted": digest})).mappings().first()
    return None if row is None else Key.model_validate(dict(row))


async def get(connection: AsyncConnection, key_id: KeyId) -> Key | None:
    row = (await connection.execute(_GET, {"wanted": key_id})).mappings().first()
    return None if row is None else Key.model_validate(dict(row))


async def list_(connection: AsyncConnection, *, skip: int = 0, limit: int | None = None) -> Sequence[Key]:
    """The keys that people made, newest first; the tokens of workers are listed with their workers."""
    query = sa.select(*_SHOWN).where(keys.c.worker_id.is_(None))
    query = query.order_by(keys.c.created_at.desc(), keys.c.id).offset(skip).limit(limit)
    return [Key.model_validate(dict(row)) for row in (await connection.execute(query)).mappings()]


async def live_admins(connection: AsyncConnection, name: str | None = None) -> Sequence[Key]:
    """Admin keys that are not revoked, of this name where one is given."""
    query = sa.select(*_SHOWN).where(keys.c.scope == Scope.ADMIN, keys.c.revoked_at.is_(None))
    if name is not None:
        query = query.where(keys.c.name == name)
    return [Key.model_validate(dict(row)) for row in (await connection.execute(query)).mappings()]


async def revoke(connection: AsyncConnection, key_id: KeyId, now: datetime) -> None:
    await _revoke(connection, keys.c.id == key_id, now)


async def revoke_worker(connection: AsyncConnection, worker_id: WorkerId, now: datetime) -> None:
    """Revoke every token of a worker."""
    await _revoke(connection, keys.c.worker_id == worker_id, now)


async def _revoke(connection: AsyncConnection, which: sa.ColumnElement[Any], now: datetime) -> None:
    await connection.execute(sa.update(keys).where(which, keys.c.revoked_at.is_(None)).values(revoked_at=now))


async def live_workers_of(connection: AsyncConnection, key_id: KeyId) -> Sequence[WorkerId]:
    """Those that were registered with this key and still have a token."""
    query = sa.select(keys.c.worker_id).where(keys.c.registered_by == key_id, keys.c.revoked_at.is_(None))
    return [WorkerId(row[0]) for row in await connection.execute(query)]


async def note_uses(connection: AsyncConnection, uses: Mapping[KeyId, datetime]) -> None:
    """When keys were used; a later use, which another control plane has seen, stays."""
    which = keys.c.id == sa.bindparam("used_key", type_=keys.c.id.type)
    moment = sa.bindparam("used_at", type_=keys.c.last_used_at.type)
    older = sa.or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < moment)
    statement = sa.update(keys).where(which, older).values(last_used_at=moment)
    # In one order, so that two control planes that write at once do not wait for each other in a circle.
    rows = [{"used_key": used, "used_at": at} for used, at in sorted(uses.items())]
    await connection.execute(statement, rows)


async def delete_of_queue(connection: AsyncConnection, queue_id: QueueId) -> Sequence[KeyId]:
    """Delete what registers workers of a queue, and their tokens."""
    deleted = await connection.execute(sa.delete(keys).where(keys.c.queue_id == queue_id).returning(keys.c.id))
    return [KeyId(row[0]) for row in deleted]


async def forget_revoked_tokens(connection: AsyncConnection, before: datetime) -> None:
    """Delete the tokens of workers that were revoked before a moment: they only grow the table."""
    old = sa.and_(keys.c.worker_id.is_not(None), keys.c.revoked_at < before)
    await connection.execute(sa.delete(keys).where(old))
