"""The statements of what people set for the whole control plane."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from .tables import settings


async def get(connection: AsyncConnection, name: str) -> Any:
    """None when it is not set."""
    return (await connection.execute(sa.select(settings.c.value).where(settings.c.name == name))).scalar_one_or_none()


async def put(connection: AsyncConnection, name: str, value: Any) -> None:
    updated = await connection.execute(sa.update(settings).where(settings.c.name == name).values(value=value))
    if not updated.rowcount:
        await connection.execute(sa.insert(settings).values(name=name, value=value))
