"""The statements of what people set for the whole control plane."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from .dialects import insert_if_none
from .tables import settings


async def get(connection: AsyncConnection, name: str) -> Any:
    """None when it is not set."""
    return (await connection.execute(sa.select(settings.c.value).where(settings.c.name == name))).scalar_one_or_none()


async def put(connection: AsyncConnection, name: str, value: Any) -> None:
    updated = await connection.execute(sa.update(settings).where(settings.c.name == name).values(value=value))
    if not updated.rowcount:
        await connection.execute(sa.insert(settings).values(name=name, value=value))


async def put_if_none(connection: AsyncConnection, name: str, value: Any) -> Any:
    """What is set under a name: `value`, unless somebody was here before."""
    found = await get(connection, name)
    if found is not None:
        return found
    await connection.execute(insert_if_none(connection, settings).values(name=name, value=value))
    return await get(connection, name)
