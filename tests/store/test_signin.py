"""What lets browsers in, where several control planes share a database."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.control_plane.auth import Auth, digest
from kubiya_workers.control_plane.services.shared_secret import shared_secret
from kubiya_workers.control_plane.services.signin import Keys, give_ticket
from kubiya_workers.control_plane.store import tickets
from kubiya_workers.control_plane.store.database import Database

CALLER = Caller(key_id=KeyId("k1"), name="ops", scope=Scope.READ)


async def test_all_control_planes_of_a_database_have_one_secret(url: str | None, tmp_path: Path) -> None:
    databases = [await Database.open(url, tmp_path / "kubiya.db") for _ in range(3)]
    secrets = await asyncio.gather(*(shared_secret(database, "one") for database in databases))
    assert len(set(secrets)) == 1 and len(secrets[0]) > 40
    assert await shared_secret(databases[0], "another") != secrets[0]
    for database in databases:
        await database.close()


async def test_a_ticket_is_taken_once_wherever_it_is_shown(url: str | None, tmp_path: Path) -> None:
    one, other = [await Database.open(url, tmp_path / "kubiya.db") for _ in range(2)]
    given = await give_ticket(one, CALLER)
    taken = await asyncio.gather(*(Keys(at, Auth(at)).redeem(given.ticket) for at in (one, other, one, other)))
    assert sorted(map(str, taken)) == ["None", "None", "None", "k1"]
    for database in (one, other):
        await database.close()


async def test_an_old_ticket_lets_nobody_in_and_is_forgotten(database: Database) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with database.writing() as connection:
        await tickets.insert(connection, digest("old"), KeyId("k1"), past)
    assert await Keys(database, Auth(database)).redeem("old") is None
    await give_ticket(database, CALLER)
    async with database.writing() as connection:
        assert await tickets.take(connection, digest("old"), past - timedelta(days=1)) is None
