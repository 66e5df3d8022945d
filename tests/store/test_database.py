"""Opening, migrating, transactions, and what is said when a database cannot be used."""

import asyncio
import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from kubiya_workers.contracts.errors import Invalid, Unavailable
from kubiya_workers.control_plane.store import migrations
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.control_plane.store.dialects import json_text
from kubiya_workers.control_plane.store.tables import METADATA, keys


def described(connection: sa.Connection) -> dict[str, object]:
    """All that the database itself knows of its tables."""
    tables = sa.inspect(connection)
    return {
        name: (
            {column["name"]: f"{column}" for column in tables.get_columns(name)},
            tables.get_pk_constraint(name),
            sorted(map(str, tables.get_foreign_keys(name))),
            sorted(map(str, tables.get_indexes(name))),
            sorted(map(str, tables.get_unique_constraints(name))),
            sorted(map(str, tables.get_check_constraints(name))),
        )
        for name in tables.get_table_names()
    }


async def test_a_new_database_is_as_one_that_took_every_step(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)

    async with database.writing() as connection:
        made = await connection.run_sync(described)
        await connection.run_sync(METADATA.drop_all)
        await connection.execute(sa.text("DROP TABLE alembic_version"))
        await connection.run_sync(migrations.take_steps)
        assert await connection.run_sync(described) == made
        assert await connection.run_sync(differences) == []


def test_newest_is_the_last_migration() -> None:
    assert ScriptDirectory(str(migrations.FOLDER)).get_heads() == [migrations.NEWEST]


async def test_opening_again_changes_nothing_and_imports_no_alembic(
    database: Database, url: str | None, tmp_path: Path
) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from kubiya_workers.control_plane.store.database import Database\n"
        f"asyncio.run(Database.open({url!r}, Path({str(tmp_path / 'kubiya.db')!r})))\n"
        "assert 'alembic' not in sys.modules\n"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await child.wait() == 0


async def test_many_may_open_a_new_database_at_once(url: str | None, tmp_path: Path) -> None:
    opened = await asyncio.gather(*(Database.open(url, tmp_path / "kubiya.db") for _ in range(8)))
    for database in opened:
        await database.ping()
        await database.close()


async def test_a_database_of_a_newer_version_is_refused(database: Database, url: str | None, tmp_path: Path) -> None:
    async with database.writing() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="version 9999"):
        await Database.open(url, tmp_path / "kubiya.db")


async def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.writing() as connection:
            await connection.execute(_insert_key("a"))
            raise RuntimeError
    assert await _count(database) == 0


async def test_a_cancelled_writer_leaves_the_way_free(database: Database) -> None:
    inside = asyncio.Event()

    async def write_for_ever() -> None:
        async with database.writing() as connection:
            await connection.execute(_insert_key("a"))
            inside.set()
            await asyncio.Event().wait()

    writer = asyncio.create_task(write_for_ever())
    await inside.wait()
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    async with asyncio.timeout(5), database.writing() as connection:
        await connection.execute(_insert_key("b"))
    assert await _count(database) == 1


async def test_a_writer_cancelled_within_a_statement_leaves_nothing(database: Database) -> None:
    long = "SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 500000) {})"
    inside = asyncio.Event()

    async def write() -> None:
        async with database.writing() as connection:
            await connection.execute(_insert_key("a"))
            inside.set()
            await connection.execute(sa.text(long.format("SELECT i FROM n") + " AS counted"))

    writer = asyncio.create_task(write())
    await inside.wait()
    await asyncio.sleep(0)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    async with asyncio.timeout(30), database.writing() as connection:
        await connection.execute(_insert_key("b"))
    assert await _count(database) == 1


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(_insert_key("a"))
        assert await _count(database) == 0
    assert await _count(database) == 1


async def test_writers_at_once_lose_nothing(database: Database) -> None:
    async def write(name: str) -> None:
        async with database.writing() as connection:
            await connection.execute(_insert_key(name))

    await asyncio.gather(*(write(str(number)) for number in range(50)))
    assert await _count(database) == 50


def test_nul_characters_become_a_mark_in_json() -> None:
    assert json_text({"a\0b": ["\0", 1, None]}) == '{"a\ufffdb":["\ufffd",1,null]}'
    assert json_text({"kept": "\\u0000"}) == '{"kept":"\\\\u0000"}'


async def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "server" / "kubiya.db"
    database = await Database.open(None, path)
    await database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "kubiya.db").write_text("hello, I am a text\n" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        await Database.open(None, tmp_path / "kubiya.db")


async def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be opened"):
        await Database.open(None, tmp_path / "file" / "kubiya.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_home_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Unavailable, match="cannot be opened"):
        await Database.open(None, tmp_path / "server" / "kubiya.db")


async def test_a_full_disk_is_named(tmp_path: Path) -> None:
    database = await Database.open(None, tmp_path / "kubiya.db")
    with pytest.raises(Unavailable, match="disk that holds the database is full"):
        async with database.writing() as connection:
            # The smallest limit that the file may have: the next page finds no room, as on a full disk.
            await connection.execute(sa.text("PRAGMA max_page_count = 1"))
            for number in range(200):
                await connection.execute(_insert_key(str(number), name="x" * 1000))
    await database.close()


async def test_a_server_that_is_not_there_is_said_within_seconds(tmp_path: Path) -> None:
    async with asyncio.timeout(8):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await Database.open("postgresql://u:secret@127.0.0.1:1/db", tmp_path / "unused")


async def test_an_unknown_database_is_said(postgresql_server: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        await Database.open(f"postgresql://kubiya@/nowhere?host={postgresql_server}", tmp_path / "unused")


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://u:secret@h/db", "postgresql://u:secret@h", "postgresql://u:secret@h/db?nope=1"]
)
async def test_a_wrong_address_is_refused_without_repeating_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        await Database.open(url, tmp_path / "unused")
    assert "secret" not in refused.value.detail


def _insert_key(digest: str, *, name: str = "n") -> sa.Insert:
    return sa.insert(keys).values(
        id=digest, name=name, scope="admin", prefix="", digest=digest, created_at=datetime.now(UTC)
    )


async def _count(database: Database) -> int:
    async with database.reading() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(keys))).scalar_one()
