"""Queues and the life of workers on them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.ids import WorkerId
from kubiya_workers.contracts.workers import Registered
from kubiya_workers.control_plane.services import queues, workers
from kubiya_workers.control_plane.store.workers import Pulse

from .conftest import Api

QUEUES = "/api/v1/environments/default/worker-queues"


async def make_queue(api: Api, name: str = "q", **fields: Any) -> dict[str, Any]:
    answer = await api.client.post(QUEUES, json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def register(api: Api, queue: str = "q", **fields: Any) -> Registered:
    answer = await api.worker.post(f"/api/v1/worker-queues/{queue}/start", json=fields)
    assert answer.status_code == 200, answer.text
    return Registered.model_validate_json(answer.content)


async def leave(api: Api, worker: Registered) -> None:
    path = f"/api/v1/workers/{worker.worker_id}/disconnect"
    answer = await api.open(worker.worker_token).post(path, json={"reason": "shutdown", "exit_code": 0})
    assert answer.status_code == 204


async def test_a_queue_lives(api: Api) -> None:
    made = await make_queue(api, max_workers=2, tags=["gpu"])
    for ref in (made["id"], "q"):
        assert (await api.client.get(f"/api/v1/worker-queues/{ref}")).json() == made
    assert (await api.client.get("/api/v1/worker-queues")).json() == [made]
    assert (await api.client.get(QUEUES)).json() == [made]
    changed = (await api.client.patch("/api/v1/worker-queues/q", json={"max_workers": None})).json()
    assert (changed["max_workers"], changed["tags"]) == (None, ["gpu"])
    command = (await api.client.get("/api/v1/worker-queues/q/worker-command")).json()["command"]
    assert command == f"kubiya worker start --queue-id={made['id']} --type=local"
    assert (await api.client.get("/api/v1/worker-queues/q/config")).json()["environment_name"] == "default"
    assert (await api.client.get("/api/v1/worker-queues/q/executions?status=running")).json() == []
    assert (await api.client.delete("/api/v1/worker-queues/q")).status_code == 204
    assert (await api.client.get("/api/v1/worker-queues/q")).status_code == 404


@pytest.mark.parametrize("name", ["../../x", "", "a b", "-x", "x" * 64, "a/b"])
async def test_a_bad_queue_name_is_refused(api: Api, name: str) -> None:
    answer = await api.client.post(QUEUES, json={"name": name})
    assert answer.status_code == 422
    assert "letters, digits" in answer.json()["detail"]


async def test_a_queue_name_is_taken_once(api: Api) -> None:
    await make_queue(api)
    assert (await api.client.post(QUEUES, json={"name": "q"})).status_code == 409


async def test_registration_hands_over_what_a_worker_needs(api: Api) -> None:
    queue = await make_queue(api, heartbeat_interval=7, settings={"a": 1})
    worker = await register(api, system_info={"hostname": "h", "pid": 3}, worker_sdk_version="1")
    assert worker.queue_id == queue["id"]
    assert worker.task_queue_name == queue["task_queue_name"]
    assert worker.control_plane_url == worker.litellm_api_url == "http://plane.test:7466"
    assert worker.litellm_api_key == worker.worker_token
    assert (worker.heartbeat_interval, worker.queue_settings) == (7, {"a": 1})
    assert (worker.temporal_host, worker.temporal_api_key) == ("127.0.0.1:7233", "temporal-worker-key")
    (listed,) = (await api.client.get("/api/v1/worker-queues/q/workers")).json()
    assert (listed["id"], listed["hostname"], listed["pid"]) == (worker.worker_id, "h", 3)
    assert (await api.client.get(f"/api/v1/workers/{worker.worker_id}")).json() == listed
    assert (await api.client.get("/api/v1/worker-queues/q")).json()["active_workers"] == 1


async def test_a_worker_may_beat_at_its_own_pace(api: Api) -> None:
    assert (await register(api, heartbeat_interval=60)).heartbeat_interval == 60


async def test_an_unknown_queue_is_made_in_the_named_environment(api: Api) -> None:
    await api.client.post("/api/v1/environments", json={"name": "prod"})
    worker = await register(api, "fresh", environment_name="prod")
    assert (worker.queue_name, worker.environment_name) == ("fresh", "prod")
    unknown = await api.worker.post("/api/v1/worker-queues/other/start", json={"environment_name": "nowhere"})
    assert unknown.status_code == 404
    bad = await api.worker.post("/api/v1/worker-queues/..%20x/start")
    assert bad.status_code == 422


async def test_a_full_queue_takes_no_more(api: Api) -> None:
    await make_queue(api, max_workers=1)
    worker = await register(api)
    refused = await api.worker.post("/api/v1/worker-queues/q/start")
    assert refused.status_code == 409
    await leave(api, worker)
    await register(api)


async def test_a_bound_key_registers_on_its_queue_only(api: Api) -> None:
    queue = await make_queue(api)
    body = {"name": "k", "scope": "worker", "queue_id": queue["id"]}
    bound = api.open((await api.admin.post("/api/v1/keys", json=body)).json()["key"])
    assert (await bound.post("/api/v1/worker-queues/q/start")).status_code == 200
    assert (await bound.post("/api/v1/worker-queues/other/start")).status_code == 403
    assert (await api.client.get("/api/v1/worker-queues/other")).status_code == 404


async def test_a_worker_acts_only_for_itself(api: Api) -> None:
    one, two = await register(api), await register(api)
    token = api.open(one.worker_token)
    assert (await token.post(f"/api/v1/workers/{one.worker_id}/heartbeat", json={})).status_code == 204
    assert (await token.post(f"/api/v1/workers/{two.worker_id}/heartbeat", json={})).status_code == 403
    assert (await token.post(f"/api/v1/workers/{two.worker_id}/disconnect", json={"reason": "x"})).status_code == 403
    assert (await token.post("/api/v1/worker-queues/q/start")).status_code == 403
    assert (await token.get("/api/v1/worker-queues")).status_code == 403
    assert (await token.get("/api/v1/worker-queues/q/config")).status_code == 200


async def test_a_heartbeat_is_noted(api: Api) -> None:
    worker = await register(api)
    beat = {"status": "draining", "tasks_processed": 5, "current_task_id": "t", "worker_metadata": {"a": 1}}
    path = f"/api/v1/workers/{worker.worker_id}"
    assert (await api.open(worker.worker_token).post(f"{path}/heartbeat", json=beat)).status_code == 204
    stored = (await api.client.get(path)).json()
    assert {name: stored[name] for name in beat} == beat
    metrics = (await api.client.get("/api/v1/worker-queues/q/metrics")).json()
    assert (metrics["active_workers"], metrics["busy_workers"], metrics["tasks_processed"]) == (1, 1, 5)
    gone = await api.open(worker.worker_token).post(f"{path}/heartbeat", json={"status": "lost"})
    assert gone.status_code == 422


async def test_a_worker_that_left_is_out(api: Api) -> None:
    worker = await register(api)
    await leave(api, worker)
    path = f"/api/v1/workers/{worker.worker_id}"
    assert (await api.open(worker.worker_token).post(f"{path}/heartbeat", json={})).status_code == 401
    assert (await api.admin.post(f"{path}/heartbeat", json={})).status_code == 409
    assert (await api.admin.post(f"{path}/disconnect", json={"reason": "again"})).status_code == 204
    stored = (await api.client.get(path)).json()
    assert (stored["status"], stored["disconnect_reason"]) == ("disconnected", "shutdown")
    assert (await api.client.get("/api/v1/workers?live=true")).json() == []


async def test_a_silent_worker_is_lost(api: Api) -> None:
    worker = await register(api, heartbeat_interval=10)
    token = api.open(worker.worker_token)
    database, now = api.plane.database, datetime.now(UTC)
    assert await workers.mark_lost(database, now + timedelta(seconds=29), auth=api.plane.auth) == []
    assert await workers.mark_lost(database, now + timedelta(seconds=32), auth=api.plane.auth) == [worker.worker_id]
    assert await workers.mark_lost(database, now + timedelta(seconds=32)) == []
    path = f"/api/v1/workers/{worker.worker_id}"
    assert (await token.post(f"{path}/heartbeat", json={})).status_code == 401
    assert (await api.client.get(path)).json()["status"] == "lost"


@given(interval=st.integers(1, 300), silence=st.floats(0, 2000))
def test_lost_after_three_missed_beats(interval: int, silence: float) -> None:
    heard = datetime(2026, 1, 1, tzinfo=UTC)
    pulse = Pulse(WorkerId("w"), heard, interval)
    now = heard + timedelta(seconds=silence)
    assert workers.is_lost(pulse, now) == (now - heard > timedelta(seconds=3 * interval))


async def test_an_ephemeral_queue_goes_with_its_last_worker(api: Api) -> None:
    await make_queue(api, ephemeral=True)
    one, two = await register(api), await register(api)
    await leave(api, one)
    assert (await api.client.get("/api/v1/worker-queues/q")).status_code == 200
    await leave(api, two)
    assert (await api.client.get("/api/v1/worker-queues/q")).status_code == 404
    assert (await api.client.get("/api/v1/workers")).json() == []


async def test_a_queue_with_workers_is_deleted_only_by_force(api: Api) -> None:
    await make_queue(api)
    worker = await register(api)
    assert (await api.client.delete("/api/v1/worker-queues/q")).status_code == 409
    assert (await api.client.delete("/api/v1/worker-queues/q?force=true")).status_code == 204
    await leave(api, worker)


async def test_idle_queues_are_cleaned_up_when_they_say_so(api: Api) -> None:
    for name, fields in {"stays": {}, "goes": {"auto_cleanup_after_seconds": 60}, "held": {"ephemeral": True}}.items():
        await make_queue(api, name, **fields)
    held = await register(api, "held")
    now = datetime.now(UTC)
    assert await queues.clean_up(api.plane.database, now + timedelta(seconds=50)) == []
    assert len(await queues.clean_up(api.plane.database, now + timedelta(seconds=70))) == 1
    left = [queue["name"] for queue in (await api.client.get("/api/v1/worker-queues")).json()]
    assert left == ["held", "stays"]
    await leave(api, held)


async def test_a_revoked_key_takes_its_workers_with_it(api: Api) -> None:
    made = (await api.admin.post("/api/v1/keys", json={"name": "host", "scope": "worker"})).json()
    gone = Registered.model_validate_json((await api.open(made["key"]).post("/api/v1/worker-queues/q/start")).content)
    other = await register(api)
    beats = {w.worker_token: f"/api/v1/workers/{w.worker_id}/heartbeat" for w in (gone, other)}
    for token, beat in beats.items():
        assert (await api.open(token).post(beat, json={})).status_code == 204

    assert (await api.admin.delete(f"/api/v1/keys/{made['id']}")).status_code == 204
    assert (await api.open(gone.worker_token).post(beats[gone.worker_token], json={})).status_code == 401
    assert (await api.open(other.worker_token).post(beats[other.worker_token], json={})).status_code == 204
    told = (await api.client.get(f"/api/v1/workers/{gone.worker_id}")).json()
    assert (told["status"], told["disconnect_reason"]) == (
        "lost",
        "the key that it was registered with was revoked",
    )
    assert (await api.client.get("/api/v1/worker-queues/q")).json()["active_workers"] == 1
