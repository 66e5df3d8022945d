"""What a supervisor says of its worker's crashes, and what the queue says then."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.pool import CrashReport
from kubiya_workers.control_plane.services import workers

from .conftest import Api
from .test_workers import leave, make_queue, register

HOST = {"system_info": {"hostname": "box", "pid": 3}}
COUNTS = ("active_workers", "paused_workers", "lost_workers", "crash_looping_workers")


async def report(api: Api, status: int = 204, *, queue: str = "q", key: str = "client", **fields: Any) -> None:
    body = {"hostname": "box", "reason": "exit status 1", **fields}
    answer = await getattr(api, key).post(f"/api/v1/worker-queues/{queue}/crashes", json=body)
    assert answer.status_code == status, answer.text


async def counts(api: Api, queue: str = "q") -> tuple[int, ...]:
    """Active, paused, lost, crash-looping; the same wherever they are shown."""
    shown = (await api.client.get(f"/api/v1/worker-queues/{queue}")).json()
    metrics = (await api.client.get(f"/api/v1/worker-queues/{queue}/metrics")).json()
    (listed,) = [row for row in (await api.client.get("/api/v1/worker-queues")).json() if row["name"] == queue]
    assert all(shown[name] == metrics[name] == listed[name] for name in COUNTS)
    return tuple(shown[name] for name in COUNTS)


async def test_a_crashed_worker_is_lost_at_once(api: Api) -> None:
    worker = await register(api, **HOST)
    for _ in range(2):
        await report(api, worker_id=worker.worker_id)
    path = f"/api/v1/workers/{worker.worker_id}"
    stored = (await api.client.get(path)).json()
    assert (stored["status"], stored["disconnect_reason"]) == ("lost", "exit status 1")
    assert (await api.open(worker.worker_token).post(f"{path}/heartbeat", json={})).status_code == 401
    assert await counts(api) == (0, 0, 1, 0)
    await register(api, **HOST)
    assert await counts(api) == (1, 0, 0, 0)


async def test_a_looping_worker_is_one_row_until_it_runs_again(api: Api) -> None:
    worker = await register(api, **HOST)
    for n in range(3):
        await report(api, worker_id=worker.worker_id, looping=True, crashes_in_a_row=10 + n)
    assert await counts(api) == (0, 0, 0, 1)
    assert (await api.client.get("/api/v1/workers?live=true")).json() == []
    await register(api, system_info={"hostname": "other"})
    assert await counts(api) == (1, 0, 0, 1)
    await register(api, **HOST)
    assert await counts(api) == (2, 0, 0, 0)


async def test_a_worker_that_never_registered_loops_too(api: Api) -> None:
    await make_queue(api)
    for _ in range(2):
        await report(api, looping=True, pid=9, version="1", key="worker")
    (row,) = (await api.client.get("/api/v1/worker-queues/q/workers")).json()
    assert (row["status"], row["hostname"], row["pid"]) == ("crash_looping", "box", 9)
    now = datetime.now(UTC)
    await workers.mark_lost(api.plane.database, now + timedelta(minutes=4))
    assert await counts(api) == (0, 0, 0, 1)
    await workers.mark_lost(api.plane.database, now + timedelta(minutes=6))
    assert await counts(api) == (0, 0, 1, 0)


async def test_a_crash_is_reported_only_by_who_may(api: Api) -> None:
    worker, queue = await register(api, **HOST), await make_queue(api, "other")
    key = {"name": "k", "scope": "worker", "queue_id": queue["id"]}
    bound = api.open((await api.admin.post("/api/v1/keys", json=key)).json()["key"])
    body = {"hostname": "box", "reason": "r", "worker_id": worker.worker_id}
    for client in (bound, api.open(worker.worker_token)):
        assert (await client.post("/api/v1/worker-queues/q/crashes", json=body)).status_code == 403
    assert (await bound.post("/api/v1/worker-queues/other/crashes", json=body)).status_code == 403
    assert (await bound.post("/api/v1/worker-queues/other/crashes", json={**body, "worker_id": "?"})).status_code == 204
    await report(api, 404, queue="nowhere")
    assert await counts(api) == (1, 0, 0, 0)


async def test_an_ephemeral_queue_outlives_a_crash(api: Api) -> None:
    await make_queue(api, ephemeral=True)
    worker = await register(api, **HOST)
    await report(api, worker_id=worker.worker_id)
    assert await counts(api) == (0, 0, 1, 0)


async def test_a_paused_worker_is_live_and_takes_nothing(api: Api) -> None:
    worker = await register(api, **HOST)
    path = f"/api/v1/workers/{worker.worker_id}/heartbeat"
    beat = {"status": "paused", "worker_metadata": {"pause_note": "n"}, "system_info": {"cpu_count": 4}}
    assert (await api.open(worker.worker_token).post(path, json=beat)).status_code == 204
    assert await counts(api) == (1, 1, 0, 0)
    stored = (await api.client.get(f"/api/v1/workers/{worker.worker_id}")).json()
    assert (stored["status"], stored["system_info"]) == ("paused", {"cpu_count": 4})
    loops = await api.open(worker.worker_token).post(path, json={"status": "crash_looping"})
    assert loops.status_code == 422


async def test_a_queue_made_for_one_execution_goes_with_its_worker(api: Api) -> None:
    worker = await register(api, "once", single_execution=True)
    assert (worker.queue_ephemeral, worker.queue_single_execution) == (True, True)
    await leave(api, worker)
    assert (await api.client.get("/api/v1/worker-queues/once")).status_code == 404
    await make_queue(api)
    guest = await register(api, single_execution=True)
    assert (guest.queue_ephemeral, guest.queue_single_execution) == (False, False)
    await leave(api, guest)
    assert await counts(api) == (0, 0, 0, 0)


async def test_the_client_reports_a_crash(api: Api) -> None:
    worker = await register(api, **HOST)
    report = CrashReport(hostname="box", reason="killed", worker_id=worker.worker_id)
    key = api.client.headers["Authorization"].removeprefix("Bearer ")
    async with ControlPlaneClient("http://plane.test", key, transport=api.client._transport) as plane:  # pyright: ignore[reportPrivateUsage]
        await plane.queues.crashed("q", report)
    assert await counts(api) == (0, 0, 1, 0)
