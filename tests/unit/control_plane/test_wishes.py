"""What is asked of workers: kept until they hear, never done twice, never told as done before it is."""

import asyncio
from typing import Any

import httpx
import pytest

from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.contracts.workers import Action, AskedOf, Registered
from kubiya_workers.control_plane.services import workers

from .conftest import Api
from .test_workers import leave, make_queue, register

CAN = {"can": ["pause", "drain", "restart"]}


@pytest.fixture
async def worker(api: Api) -> Registered:
    """One that has beaten, and says what it can be asked."""
    await make_queue(api)
    registered = await register(api)
    assert (await beat(api, registered)).status_code == 204
    return registered


async def beat(api: Api, worker: Registered, **fields: Any) -> httpx.Response:
    path = f"/api/v1/workers/{worker.worker_id}/heartbeat"
    return await api.open(worker.worker_token).post(path, json={"worker_metadata": CAN, **fields})


async def ask(api: Api, worker: Registered, action: str, **fields: Any) -> dict[str, Any]:
    answer = await api.admin.post(f"/api/v1/workers/{worker.worker_id}/{action}", json=fields)
    assert answer.status_code == 202, answer.text
    return answer.json()["wish"]


async def seen(api: Api, worker: Registered) -> dict[str, Any]:
    return (await api.read.get(f"/api/v1/workers/{worker.worker_id}")).json()


async def test_a_wish_is_told_with_each_heartbeat_until_it_was_heard(api: Api, worker: Registered) -> None:
    wish = await ask(api, worker, "pause", note="moving")
    assert (wish["asked_by"], wish["note"], wish["heard_at"]) == ("admin", "moving", None)
    for _ in range(2):
        told = await beat(api, worker)
        assert told.status_code == 200 and told.json()["wish"] == wish
    assert (await seen(api, worker))["status"] == "active", "it is as it says, not as somebody wishes"
    assert (await beat(api, worker, heard={"id": wish["id"]})).status_code == 204
    known = (await seen(api, worker))["wish"]
    assert known["heard_at"] and known["refused"] is None
    assert (await beat(api, worker, heard={"id": wish["id"]})).status_code == 204
    assert (await seen(api, worker))["wish"] == known, "it heard once"


async def test_the_last_wish_counts(api: Api, worker: Registered) -> None:
    first, last = await ask(api, worker, "pause"), await ask(api, worker, "drain")
    told = await beat(api, worker, heard={"id": first["id"]})
    assert told.json()["wish"]["id"] == last["id"]
    assert (await seen(api, worker))["wish"]["heard_at"] is None


def listening(api: Api, worker: Registered, seconds: float = 20) -> "asyncio.Task[httpx.Response]":
    """The worker's question for what is asked of it, on its way."""
    client = api.open(worker.worker_token)
    return asyncio.create_task(client.get(f"/api/v1/workers/{worker.worker_id}/wish", params={"wait": seconds}))


async def test_a_worker_that_listens_hears_at_once(api: Api, worker: Registered) -> None:
    asked = listening(api, worker)
    await asyncio.sleep(0.1)
    assert not asked.done()
    wish = await ask(api, worker, "pause")
    assert (await asyncio.wait_for(asked, 10)).json()["wish"] == wish
    assert (await asyncio.wait_for(listening(api, worker), 10)).json()["wish"] == wish, "until it says that it heard"
    await beat(api, worker, heard={"id": wish["id"]})
    assert (await listening(api, worker, 0)).status_code == 204


async def test_it_hears_what_was_asked_at_another_control_plane_too(api: Api, worker: Registered) -> None:
    asked = listening(api, worker)
    await asyncio.sleep(0.1)
    caller = Caller(key_id=KeyId("k"), name="ops", scope=Scope.ADMIN)
    await workers.ask(api.plane.database, caller, worker.worker_id, Action.DRAIN, AskedOf())
    assert (await asyncio.wait_for(asked, 10)).json()["wish"]["action"] == "drain"


async def test_nobody_is_kept_waiting_by_a_control_plane_that_stops(api: Api, worker: Registered) -> None:
    asked = listening(api, worker)
    await asyncio.sleep(0.1)
    api.plane.waiting.close()
    assert (await asyncio.wait_for(asked, 10)).status_code == 204
    assert (await asyncio.wait_for(listening(api, worker), 10)).status_code == 204


async def test_a_worker_hears_nothing_of_another(api: Api, worker: Registered) -> None:
    other = await register(api)
    path = f"/api/v1/workers/{worker.worker_id}/wish"
    assert (await api.open(other.worker_token).get(path)).status_code == 403
    assert (await api.client.get(path)).status_code == 403


async def test_what_a_worker_cannot_do_it_says(api: Api, worker: Registered) -> None:
    wish = await ask(api, worker, "restart")
    assert (await beat(api, worker, heard={"id": wish["id"], "refused": "nobody keeps it"})).status_code == 204
    assert (await seen(api, worker))["wish"]["refused"] == "nobody keeps it"


@pytest.mark.parametrize(
    ("metadata", "action", "said"),
    [
        (CAN, "resume", "is active: it cannot be asked to resume now"),
        ({"can": ["pause", "drain"]}, "restart", "kept by nobody"),
        ({}, "pause", "may be an older one"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    api: Api, worker: Registered, metadata: dict[str, Any], action: str, said: str
) -> None:
    await beat(api, worker, worker_metadata=metadata)
    answer = await api.admin.post(f"/api/v1/workers/{worker.worker_id}/{action}")
    assert answer.status_code == 409 and said in answer.json()["detail"] and answer.json()["fix"]


async def test_one_that_drains_or_is_gone_is_asked_nothing(api: Api, worker: Registered) -> None:
    await beat(api, worker, status="draining")
    draining = await api.admin.post(f"/api/v1/workers/{worker.worker_id}/pause")
    assert draining.status_code == 409 and "is draining" in draining.json()["detail"]
    await leave(api, worker)
    gone = await api.admin.post(f"/api/v1/workers/{worker.worker_id}/pause")
    assert gone.status_code == 409 and "is disconnected, shutdown: it hears nothing" in gone.json()["detail"]
    assert (await api.admin.post("/api/v1/workers/nobody/pause")).status_code == 404
    assert (await api.admin.post(f"/api/v1/workers/{worker.worker_id}/explode")).status_code == 422


async def test_only_admins_ask(api: Api, worker: Registered) -> None:
    for caller in (api.client, api.read, api.worker, api.open(worker.worker_token)):
        assert (await caller.post(f"/api/v1/workers/{worker.worker_id}/drain")).status_code == 403
    assert (await api.nobody.post(f"/api/v1/workers/{worker.worker_id}/drain")).status_code == 401
    assert (await seen(api, worker))["wish"] is None


async def test_a_ticket_is_for_people(api: Api) -> None:
    for caller in (api.admin, api.client, api.read):
        made = await caller.post("/api/v1/tickets")
        assert made.status_code == 201 and made.json()["path"] == "/ui/"
    assert (await api.worker.post("/api/v1/tickets")).status_code == 403


async def test_a_key_for_looking_changes_nothing(api: Api) -> None:
    """Whatever it asks for, on every route that there is."""
    paths = (await api.read.get("/api/v1/openapi.json")).json()["paths"]
    changes = [
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if method != "get" and path not in ("/api/v1/tickets",)
    ]
    assert len(changes) > 20
    for method, path in changes:
        filled = path.replace("{action}", "pause").replace("{", "").replace("}", "")
        answer = await api.read.request(method, filled, json={})
        assert answer.status_code == 403, (method, path, answer.text)
    for path in ("agents", "skills", "environments", "worker-queues", "workers", "models", "usage"):
        assert (await api.read.get(f"/api/v1/{path}")).status_code == 200, path
    assert (await api.read.get("/api/v1/keys")).status_code == 403
