"""How a database gets to the newest schema: numbered steps in `versions/`, run by Alembic.

A new step is a new file there with the next number, and `NEWEST` says it. Steps are never edited once released. A new
database takes none of them: it is made as `tables` says, which a test holds against what the steps make.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.control_plane.store.tables import METADATA

if TYPE_CHECKING:
    from kubiya_workers.control_plane.store.database import Database

NEWEST = "0008"
"""The last step's number, written down so that a database that is up to date costs no import of Alembic (0.2 s and
10 MB, as long as the process lives)."""

FOLDER = Path(__file__).parent

_LOCK = 0x6B756269
"""The number of PostgreSQL's advisory lock: of N control planes that start at once, one migrates."""


async def to_newest(database: "Database") -> None:
    """Make the tables of a new database; run the steps that an older one lacks. In one transaction.

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
        if found is None:
            await connection.run_sync(_make)
        elif found != NEWEST:
            await connection.run_sync(take_steps)


async def _version(connection: AsyncConnection) -> str | None:
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table("alembic_version")):
        return None
    return (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()


def _make(connection: sa.Connection) -> None:
    METADATA.create_all(connection, checkfirst=False)
    version = sa.Column("version_num", sa.String(32), nullable=False)
    # As Alembic would have made it.
    key = sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc")
    written = sa.Table("alembic_version", sa.MetaData(), version, key)
    written.create(connection)
    connection.execute(written.insert().values(version_num=NEWEST))


def take_steps(connection: sa.Connection) -> None:
    """All that are missing, from the first for a database without a version."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
