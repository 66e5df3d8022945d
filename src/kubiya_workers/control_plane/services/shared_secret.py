"""Secrets that all control planes of one database share."""

import secrets

from kubiya_workers.control_plane.store import settings
from kubiya_workers.control_plane.store.database import Database


async def shared_secret(database: Database, name: str) -> str:
    """The one of this name, made by the first who asks for it."""
    async with database.writing() as connection:
        return str(await settings.put_if_none(connection, name, secrets.token_urlsafe(32)))
