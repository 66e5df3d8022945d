"""SQLite connections whose statements take one hop to their thread, not four.

The driver runs each of "make a cursor", "execute", "fetch" and "close" on the connection's own thread, and each costs
two switches between threads: 0.75 ms for a read that SQLite answers in 0.02 ms. Here a statement runs and its rows are
fetched in one hop. A result is held in memory as a whole, which the layer above does anyway.
"""

import sqlite3
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite


class _Cursor(aiosqlite.Cursor):
    """A cursor of which the thread's half is made with its first statement."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._conn = connection
        self._cursor: Any = None
        self._rows: list[Any] = []

    async def __aenter__(self) -> "_Cursor":
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> "_Cursor":
        run = partial(_run, self._conn._conn, sql, parameters or ())  # pyright: ignore[reportPrivateUsage]
        self._cursor, self._rows = await self._execute(run)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> "_Cursor":
        run = partial(_run_many, self._conn._conn, sql, parameters)  # pyright: ignore[reportPrivateUsage]
        self._cursor = await self._execute(run)
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is left to close: the statement was run to its end."""
        self._rows = []


class _Connection(aiosqlite.Connection):
    def cursor(self) -> Any:
        return _Cursor(self)


async def connect(path: Path, *, timeout: float) -> aiosqlite.Connection:
    """A connection to a file; `timeout` (seconds) is how long a statement waits for another process's lock."""
    connection = _Connection(partial(sqlite3.connect, path, timeout=timeout, check_same_thread=False), 64)
    # A thread that was left behind must not keep the process alive.
    connection._thread.daemon = True  # pyright: ignore[reportPrivateUsage]
    return await connection


def _run(connection: sqlite3.Connection, sql: str, parameters: Any) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = connection.execute(sql, parameters)
    return cursor, cursor.fetchall()


def _run_many(connection: sqlite3.Connection, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
    return connection.executemany(sql, parameters)
