"""SQLite connections whose statements take at most one hop to their thread, not four.

The driver runs each of "make a cursor", "execute", "fetch" and "close" on the connection's own thread, and each costs
two switches between threads: 0.75 ms for a read that SQLite answers in 0.02 ms. Here a statement runs and its rows are
fetched in one hop. A result is held in memory as a whole, which the layer above does anyway. What begins a transaction
or a savepoint, or releases one, has no result: it goes along with the statement after it, and that one fails in its
stead. After a commit there is nothing to roll back, which the pool asks for all the same: that takes no hop at all.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")

_WITHOUT_RESULT = ("BEGIN", "SAVEPOINT", "RELEASE")
_NO_RESULT: Any = SimpleNamespace(description=None, rowcount=-1, lastrowid=None)


class _Cursor(aiosqlite.Cursor):
    """A cursor of which the thread's half is made with its first statement."""

    def __init__(self, connection: "_Connection") -> None:
        self._conn = connection
        self._of = connection
        self._cursor: Any = None
        self._rows: list[Any] = []

    async def __aenter__(self) -> "_Cursor":
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> "_Cursor":
        if sql.startswith(_WITHOUT_RESULT):
            self._of.hold(sql)
            self._cursor = _NO_RESULT
        else:
            self._cursor, self._rows = await self._of.run(partial(_run, sql=sql, parameters=parameters or ()))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> "_Cursor":
        self._cursor = await self._of.run(partial(_run_many, sql=sql, parameters=parameters))
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is left to close: the statement was run to its end."""
        self._rows = []


class _Connection(aiosqlite.Connection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__(partial(sqlite3.connect, path, timeout=timeout, check_same_thread=False), 64)
        # A thread that was left behind must not keep the process alive.
        self._thread.daemon = True
        self._held: list[str] = []
        self._is_clean = True

    def cursor(self) -> Any:
        return _Cursor(self)

    def hold(self, sql: str) -> None:
        """Run it before the next statement."""
        self._held.append(sql)

    async def run(self, statement: Callable[[sqlite3.Connection], T]) -> T:
        """What is held, then the statement, in one hop. Raises what SQLite says of the first that fails."""
        held, self._held = self._held, []
        self._is_clean = False
        return await self._execute(_one_after_the_other, self._conn, held, statement)

    async def commit(self) -> None:
        await self.run(sqlite3.Connection.commit)
        self._is_clean = True

    async def rollback(self) -> None:
        self._held.clear()
        # Whoever was cancelled in the midst of a statement does not know how it ended: not clean.
        if not self._is_clean:
            await self.run(sqlite3.Connection.rollback)
            self._is_clean = True


async def connect(path: Path, *, timeout: float) -> aiosqlite.Connection:
    """A connection to a file; `timeout` (seconds) is how long a statement waits for another process's lock."""
    return await _Connection(path, timeout)


def _one_after_the_other(
    connection: sqlite3.Connection, held: Sequence[str], statement: Callable[[sqlite3.Connection], T]
) -> T:
    for sql in held:
        connection.execute(sql)
    return statement(connection)


def _run(connection: sqlite3.Connection, sql: str, parameters: Any) -> tuple[sqlite3.Cursor, list[Any]]:
    cursor = connection.execute(sql, parameters)
    return cursor, cursor.fetchall()


def _run_many(connection: sqlite3.Connection, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
    return connection.executemany(sql, parameters)
