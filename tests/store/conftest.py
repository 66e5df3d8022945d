"""Every test of the store runs on SQLite and on PostgreSQL."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from kubiya_workers.control_plane.store.database import Database

from . import postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The directory of the socket of a PostgreSQL that this test process started."""
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with postgresql.running(programs) as directory:
        yield directory


@pytest.fixture
async def postgresql_url(postgresql_server: str) -> AsyncIterator[str]:
    """The address of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    await _run(postgresql_server, f"CREATE DATABASE {name}")
    yield f"postgresql://kubiya@/{name}?host={postgresql_server}"
    await _run(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """What `Database.open` takes: None for SQLite."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgresql_url")


@pytest.fixture
async def database(url: str | None, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with the newest schema and nothing in it."""
    opened = await Database.open(url, tmp_path / "kubiya.db")
    yield opened
    await opened.close()


async def _run(server: str, statement: str) -> None:
    connection = await asyncpg.connect(host=server, user="kubiya", database="postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
