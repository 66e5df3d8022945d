"""What differs between SQLite and PostgreSQL: how an engine of each is made."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from pydantic_core import from_json, to_json
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from kubiya_workers.contracts.errors import Invalid

from . import one_hop

BUSY_TIMEOUT_S = 5
CONNECT_TIMEOUT_S = 5
POOL_SIZE = 5
MAX_OVERFLOW = 15

_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")


def json_text(value: Any) -> str:
    """JSON of a body. PostgreSQL cannot hold the character NUL: it becomes U+FFFD on every backend."""
    text = to_json(value).decode()
    return to_json(_without_nul(value)).decode() if "\\u0000" in text else text


def without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return without_nul(value)
        case dict():
            pairs = cast("dict[str, Any]", value)
            return {without_nul(name): _without_nul(item) for name, item in pairs.items()}
        case list() | tuple():
            return [_without_nul(item) for item in cast("list[Any]", value)]
        case _:
            return value


def minute_text(connection: AsyncConnection, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The minute of a moment in UTC, as "2026-01-02 03:04"."""
    if connection.dialect.name == "sqlite":
        return sa.func.substr(moment, 1, 16)  # as it is stored; SQLite's own functions round up to the next second
    in_utc = sa.func.timezone(sa.literal_column("'UTC'"), moment)
    return sa.func.to_char(in_utc, sa.literal_column("'YYYY-MM-DD HH24:MI'"))


def insert_if_none(connection: AsyncConnection, table: sa.Table) -> sa.Insert:
    """An insert that leaves a row with the same key as it is. A dialect is loaded where it is spoken."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert
    return insert(table).on_conflict_do_nothing()


async def one_at_a_time(connection: AsyncConnection, matter: int) -> None:
    """Until the transaction ends, whoever else asks for the same matter waits. SQLite has one writer anyway."""
    if connection.dialect.name != "sqlite":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(matter)))


def sqlite_engine(path: Path, *, writer: bool) -> AsyncEngine:
    """An engine on one file: the writer has a single connection and begins IMMEDIATE, readers commit each statement.

    A reader's statement is its own snapshot, which saves two hops to the connection's thread for each read.
    """
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        isolation_level=None if writer else "AUTOCOMMIT",
        # Only for readers: the writer begins by itself, which looks like autocommit from outside, and must roll back.
        skip_autocommit_rollback=not writer,
        # What was opened stays: to open one is a thread, a file and its pragmas. The last one used has the warm cache.
        pool_size=1 if writer else POOL_SIZE + MAX_OVERFLOW,
        max_overflow=0,
        pool_use_lifo=True,
        pool_reset_on_return="rollback" if writer else None,
        async_creator=partial(one_hop.connect, path, timeout=BUSY_TIMEOUT_S),
        json_serializer=json_text,
        json_deserializer=from_json,
    )
    event.listen(engine.sync_engine, "connect", _pragmas)
    if writer:
        event.listen(engine.sync_engine, "begin", _begin_immediate)
    return engine


def _pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver's own implicit BEGIN is deferred: two writers would meet at their first write and one would fail.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_S}000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def postgresql_engine(url: sa.URL, *, writer: bool) -> AsyncEngine:
    """An engine on a server: readers commit each statement, writers have one transaction a block."""
    return create_async_engine(
        url,
        isolation_level="READ COMMITTED" if writer else "AUTOCOMMIT",
        skip_autocommit_rollback=not writer,
        pool_size=POOL_SIZE,
        max_overflow=MAX_OVERFLOW,
        pool_timeout=CONNECT_TIMEOUT_S,
        # A server that was restarted costs nobody a failed request.
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "server_settings": {"application_name": "kubiya"}},
        json_serializer=json_text,
        json_deserializer=from_json,
    )


def postgresql_url(text: str) -> sa.URL:
    """The address as the driver wants it; libpq's `sslmode` is understood.

    Raises:
        Invalid: it is not the address of a PostgreSQL database. The text is never repeated: it may hold a password.
    """
    example = "postgresql://user:password@host:5432/name"
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        raise Invalid("DATABASE_URL is not an address", fix=f"It looks like {example}") from None
    if url.drivername not in _SCHEMES or not url.database:
        raise Invalid("DATABASE_URL is not the address of a PostgreSQL database", fix=f"It looks like {example}")
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    unknown = query.keys() - {"ssl", "host", "port"}
    if unknown:
        raise Invalid(
            f"DATABASE_URL has a parameter {min(unknown)!r} that is not known", fix="Known: sslmode, host, port"
        )
    return url.set(drivername="postgresql+asyncpg", query=query)
