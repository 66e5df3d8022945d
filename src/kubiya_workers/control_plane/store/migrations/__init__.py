"""How a database gets to the newest schema: numbered steps in `versions/`, run by Alembic.

A new step is a new file there with the next number, and `NEWEST` says it. Steps are never edited once released.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import Unavailable

if TYPE_CHECKING:
    from kubiya_workers.control_plane.store.database import Database

NEWEST = "0008"
"""The last step's number, written down so that a database that is up to date costs no import of Alembic (0.2 s)."""

FOLDER = Path(__file__).parent

_LOCK = 0x6B756269
"""The number of PostgreSQL's advisory lock: of N control planes that start at once, one migrates."""


async def to_newest(database: "Database") -> None:
    """Run the steps that are missing, in one transaction.

    Raises:
        Unavailable: the database was made by a newer version of the product.
    """
    async with database.reading() as connection:
        if await _version(connection) == NEWEST:
            return
    async with database.writing() as connection:
        if database.dialect == "postgresql":
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = await _version(connection)
        if found is not None and found > NEWEST:
            raise Unavailable(
                f"the database is of version {found}, this program knows {NEWEST}",
                fix="Use the newer version of the program again, or another database.",
            )
        if found != NEWEST:
            await connection.run_sync(_upgrade)


async def _version(connection: AsyncConnection) -> str | None:
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table("alembic_version")):
        return None
    return (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
