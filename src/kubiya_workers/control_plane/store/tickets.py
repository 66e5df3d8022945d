"""The statements of tickets, each of which lets one browser in. The ticket itself never gets here: its digest does."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import KeyId

from .tables import tickets


async def insert(connection: AsyncConnection, digest: str, key_id: KeyId, expires_at: datetime) -> None:
    await connection.execute(sa.insert(tickets).values(digest=digest, key_id=key_id, expires_at=expires_at))


async def take(connection: AsyncConnection, digest: str, now: datetime) -> KeyId | None:
    """Whose ticket this is, for the first who asks; None when there is no such ticket any more."""
    query = sa.delete(tickets).where(tickets.c.digest == digest, tickets.c.expires_at > now)
    return (await connection.execute(query.returning(tickets.c.key_id))).scalar_one_or_none()


async def forget(connection: AsyncConnection, before: datetime) -> None:
    """Delete those that ended before a moment."""
    await connection.execute(sa.delete(tickets).where(tickets.c.expires_at <= before))
