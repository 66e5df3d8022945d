"""When a key was last used: told at once, written once a minute, and at the end."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from kubiya_workers.contracts.keys import NewKey, Scope
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.key_uses import KeyUses
from kubiya_workers.control_plane.services import keys
from kubiya_workers.control_plane.store.database import Database

from .conftest import Api


async def listed(api: Api, name: str) -> dict[str, Any]:
    return next(key for key in (await api.admin.get("/api/v1/keys")).json() if key["name"] == name)


async def test_a_use_is_told_at_once(api: Api) -> None:
    made = await keys.create(api.plane.database, NewKey(name="laptop"))
    assert (await listed(api, "laptop"))["last_used_at"] is None
    before = datetime.now(UTC)
    assert (await api.open(made.key).get("/api/v1/agents")).status_code == 200
    used = datetime.fromisoformat((await listed(api, "laptop"))["last_used_at"])
    assert before <= used <= datetime.now(UTC)


async def test_a_refused_key_was_not_used(api: Api) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=3)  # a key that has ended already cannot be made
    made = await keys.create(api.plane.database, NewKey(name="brief", expires_at=expires_at))
    while datetime.now(UTC) <= expires_at:
        await asyncio.sleep(0.05)
    assert (await api.open(made.key).get("/api/v1/agents")).status_code == 401
    assert (await listed(api, "brief"))["last_used_at"] is None


async def test_a_key_of_a_queue_was_used_when_it_registered_a_worker_and_not_by_what_that_does(api: Api) -> None:
    made = await keys.create(api.plane.database, NewKey(name="host", scope=Scope.WORKER))
    registered = (await api.open(made.key).post("/api/v1/worker-queues/q/start")).json()
    first = (await listed(api, "host"))["last_used_at"]
    beat = f"/api/v1/workers/{registered['worker_id']}/heartbeat"
    assert (await api.open(registered["worker_token"]).post(beat, json={})).status_code == 204
    assert first is not None
    assert (await listed(api, "host"))["last_used_at"] == first


async def stored(database: Database, name: str) -> datetime | None:
    nobody = KeyUses(database)
    return next(key.last_used_at for key in await keys.list_(database, nobody, skip=0, limit=10) if key.name == name)


async def test_uses_outlive_the_process_that_saw_them(database: Database) -> None:
    made = await keys.create(database, NewKey(name="laptop"))
    auth = Auth(database)
    await auth.uses.start()
    await auth.authenticate_key(made.key)
    assert await stored(database, "laptop") is None, "no request pays for a write"
    await auth.uses.close()
    first = await stored(database, "laptop")
    assert first is not None

    again = Auth(database)
    await again.authenticate_key(made.key)
    await again.uses.write()
    later = await stored(database, "laptop")
    assert later is not None
    assert later > first
    await auth.uses.close()
    assert await stored(database, "laptop") == later, "what was written is not written again"
