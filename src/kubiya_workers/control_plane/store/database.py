"""The database: opened and brought up to date once, then handed out as connections for reading and writing."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kubiya_workers.contracts.errors import Unavailable

from . import dialects, migrations
from .errors import renamed, unavailable

OPEN_TIMEOUT_S = 10.0


class Database:
    """SQLite in a file of this user's, or PostgreSQL. Every block may raise `Unavailable`."""

    def __init__(self, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self._reader = reader
        self._writer = writer
        self.dialect = writer.dialect.name
        # SQLite has one writer at a time: waiting here is fair and free, waiting in the driver polls.
        self._turn = asyncio.Lock() if self.dialect == "sqlite" else None

    @classmethod
    async def open(cls, url: str | None, sqlite_path: Path) -> "Database":
        """Connect and migrate to the newest schema. `url` None means SQLite at `sqlite_path` (made with mode 0600).

        Raises:
            Invalid: `url` is not the address of a PostgreSQL database.
            Unavailable: it cannot be reached, opened or written, or a newer version of the product made it.
        """
        database = cls._postgresql(url) if url else cls._sqlite(sqlite_path)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await migrations.to_newest(database)
        except TimeoutError as error:
            await database.close()
            raise unavailable(error) from None
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    def _postgresql(cls, url: str) -> "Database":
        address = dialects.postgresql_url(url)
        reader = dialects.postgresql_engine(address, writer=False)
        return cls(reader, dialects.postgresql_engine(address, writer=True))

    @classmethod
    def _sqlite(cls, path: Path) -> "Database":
        _private_file(path)
        return cls(dialects.sqlite_engine(path, writer=False), dialects.sqlite_engine(path, writer=True))

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection to read with; each statement sees what is committed when it runs."""
        with renamed():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        async with AsyncExitStack() as stack:
            if self._turn is not None:
                await stack.enter_async_context(self._turn)
            with renamed():
                async with self._writer.begin() as connection:
                    yield connection

    async def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            Unavailable: there is none.
        """
        async with self.reading() as connection:
            await connection.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        await self._reader.dispose()
        await self._writer.dispose()


def _private_file(path: Path) -> None:
    """Make the file before the driver does: only then is it never readable for others, not even for a moment.

    It is made by one process at a time, and in write-ahead mode: connections that switch to that mode at once wait for
    each other, and SQLite answers one of them "locked" instead. A file that is there is never opened here: closing it
    would drop the locks that this process has on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _turn_of(path.parent):
            if not path.exists():
                _make(path)
        path.chmod(0o600)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(
            f"the database file {path} cannot be opened: {getattr(error, 'strerror', None) or error}",
            fix="Make its directory writable for this user, or set KUBIYA_HOME to another place.",
        ) from error


@contextmanager
def _turn_of(directory: Path) -> Generator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
