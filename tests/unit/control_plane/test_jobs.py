"""Jobs over the API: what is refused, who may what, webhooks; and in whose name a job runs."""

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.planes import URL, Plane, by_hand, delivery, plane, until

from kubiya_workers.contracts.errors import Conflict, TooManyRequests
from kubiya_workers.contracts.jobs import Outcome, Overlap
from kubiya_workers.contracts.keys import NewKey
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.control_plane.jobs import firing as firing_module
from kubiya_workers.control_plane.routes import jobs as job_routes
from kubiya_workers.control_plane.services import keys
from kubiya_workers.control_plane.store import usage

from .conftest import Api

CRON = {
    "name": "j",
    "trigger_type": "cron",
    "cron_schedule": "0 3 * * *",
    "entity_id": "default",
    "prompt_template": "p",
}
HOOK = {"name": "h", "trigger_type": "webhook", "entity_id": "default", "prompt_template": "see {{payload.n}}"}
HAND = {"name": "m", "trigger_type": "manual", "entity_id": "default", "prompt_template": "do {{what}}"}
SECRET = "signed-by-the-sender"


@pytest.fixture
async def one(api: Api) -> AsyncIterator[Plane]:
    """With the routes of jobs in the application of `api`."""
    async with plane(api.plane.database) as made:
        routes = job_routes.router(made.jobs, made.firings, made.executions)
        api.app.include_router(routes, prefix="/api/v1")
        yield made


async def address(api: Api, **fields: Any) -> str:
    """Of the webhook of a new job, below the control plane's own."""
    made = (await api.client.post("/api/v1/jobs", json={**HOOK, **fields})).json()
    assert made["webhook_url"].startswith(f"{URL}/api/v1/webhooks/")
    return made["webhook_url"].removeprefix(URL)


async def test_a_job_lives(api: Api, one: Plane) -> None:
    answer = await api.client.post("/api/v1/jobs", json={**CRON, "cron_timezone": "Europe/Berlin"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["entity_name"], made["overlap"], made["planning_mode"]) == ("default", "skip", "predefined_agent")
    assert made["next_firings"][0] == made["next_at"] and len(made["next_firings"]) == 3
    assert made["webhook_url"] is None and made["last_firing"] is None
    for ref in (made["id"], "j"):
        assert (await api.read.get(f"/api/v1/jobs/{ref}")).json() == made
    assert (await api.read.get("/api/v1/jobs")).json() == [made]
    changed = (await api.client.patch("/api/v1/jobs/j", json={"name": "k", "description": "d"})).json()
    assert (changed["name"], changed["next_at"]) == ("k", made["next_at"]), "a schedule that stays is due as before"
    later = (await api.client.patch("/api/v1/jobs/k", json={"cron_schedule": "0 4 * * *"})).json()
    assert later["next_at"] != made["next_at"]
    fired = (await api.client.post("/api/v1/jobs/k/trigger")).json()
    assert fired["outcome"] == "fired"
    (told,) = (await api.read.get("/api/v1/jobs/k/firings")).json()
    assert (told["execution_id"], told["trigger"], told["execution_status"]) == (
        *(fired["execution_id"], "manual", "pending"),
    )
    answer = await api.read.get("/api/v1/jobs/k/executions")
    assert [run["id"] for run in answer.json()] == [fired["execution_id"]] and answer.headers["x-total-count"] == "1"
    assert (await api.client.post("/api/v1/jobs/k/disable")).json()["next_firings"] == []
    assert (await api.client.delete("/api/v1/jobs/k")).status_code == 204
    assert (await api.client.get("/api/v1/jobs/k")).status_code == 404


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({**CRON, "cron_schedule": "x"}, 422, "cron_schedule"),
    ({**CRON, "cron_schedule": None}, 422, "cron_schedule"),
    ({**CRON, "cron_timezone": "Moon"}, 422, "cron_timezone"),
    ({**CRON, "prompt_template": "{{payload.a}}"}, 422, "payload.a"),
    ({**CRON, "prompt_template": " "}, 422, "prompt_template"),
    ({**CRON, "entity_type": "team", "planning_mode": "predefined_team"}, 404, "no team 'default'"),
    ({**CRON, "entity_type": "team", "planning_mode": "predefined_agent"}, 422, "planning_mode"),
    ({**CRON, "entity_type": "workflow"}, 422, "entity_type"),
    ({**CRON, "planning_mode": "on_the_fly"}, 422, "planning_mode"),
    ({**CRON, "entity_id": "nobody"}, 404, "no agent 'nobody'"),
    ({**CRON, "executor_type": "specific_queue"}, 422, "worker_queue_name"),
    ({**CRON, "executor_type": "specific_queue", "worker_queue_name": "none"}, 404, "none"),
    ({**CRON, "executor_type": "environment"}, 422, "environment_name"),
    ({**CRON, "executor_type": "environment", "environment_name": "moon"}, 404, "moon"),
    ({**CRON, "worker_queue_name": "q"}, 422, "executor_type"),
    ({**CRON, "catch_up_s": -1}, 422, "catch_up_s"),
    ({**CRON, "execution_environment": {"env_vars": {"A": "s"}, "secrets": ["A"]}}, 422, "secrets"),
    ({**CRON, "webhook_secret": SECRET}, 422, "webhook_secret"),
    ({**HOOK, "webhook_secret": "short"}, 422, "webhook_secret"),
    ({**HOOK, "cron_schedule": "@daily"}, 422, "cron_schedule"),
    ({**HOOK, "trigger_type": "moon"}, 422, "trigger_type"),
    ({**CRON, "name": "taken"}, 409, "taken"),
]


async def test_a_team_is_run_as_an_agent_is(api: Api, one: Plane) -> None:
    assert (await api.client.post("/api/v1/teams", json={"name": "ops", "members": ["default"]})).status_code == 201
    made = (await api.client.post("/api/v1/jobs", json={**CRON, "entity_type": "team", "entity_id": "ops"})).json()
    assert (made["entity_name"], made["planning_mode"]) == ("ops", "predefined_team")
    assert (await api.client.post("/api/v1/jobs/j/trigger")).json()["outcome"] == "fired"
    (run,) = await one.runs()
    assert (run.execution_type, run.entity_name) == ("team", "ops")
    changed = await api.client.patch("/api/v1/jobs/j", json={"entity_type": "agent", "entity_id": "default"})
    assert changed.json()["planning_mode"] == "predefined_agent"


async def test_what_cannot_be_is_refused_by_name(api: Api, one: Plane) -> None:
    await one.job(name="taken")
    for body, status, said in REFUSED:
        answer = await api.client.post("/api/v1/jobs", json=body)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), (body, answer.text)
    assert len((await api.client.get("/api/v1/jobs")).json()) == 1


async def test_who_may_only_look_sees_no_address_and_changes_nothing(api: Api, one: Plane) -> None:
    path = await address(api, webhook_secret=SECRET)
    seen = (await api.read.get("/api/v1/jobs/h")).json()
    assert (seen["webhook_url"], seen["webhook_signed"]) == (None, True)
    (listed,) = (await api.client.get("/api/v1/jobs")).json()
    assert listed["webhook_url"] is None
    assert (await api.client.get("/api/v1/jobs/h")).json()["webhook_url"] == URL + path
    for method, rest in (
        *(("POST", f"/h/{deed}") for deed in ("trigger", "enable", "disable", "rotate-webhook")),
        *(("POST", ""), ("PATCH", "/h"), ("DELETE", "/h")),
    ):
        for caller in (api.read, api.worker):
            assert (await caller.request(method, f"/api/v1/jobs{rest}", json=HOOK)).status_code == 403
    everything = [(await api.admin.get(f"/api/v1/jobs{rest}")).text for rest in ("", "/h", "/h/firings")]
    assert not any(SECRET in text for text in everything)


async def test_a_delivery_needs_nothing_but_the_address(api: Api, one: Plane) -> None:
    path = await address(api)
    headers = {"X-GitHub-Delivery": "d1"}
    first, again = [await api.nobody.post(path, json={"n": [1, "{{job.id}}"]}, headers=headers) for _ in range(2)]
    assert (first.status_code, first.json()["outcome"]) == (202, "fired")
    assert first.json() == again.json()
    (run,) = await one.runs()
    assert run.prompt == 'see [1, "{{job.id}}"]'
    ping = await api.nobody.post(path, json={"zen": "x"}, headers={"X-GitHub-Event": "ping"})
    assert (ping.status_code, len(await one.runs())) == (204, 1)
    refused = await api.nobody.post(path)
    assert refused.status_code == 409 and "{{payload.n}}" in refused.json()["detail"]
    assert (await api.nobody.post(path, content="n=1")).status_code == 422
    assert (await api.nobody.post(path, content=b"x" * 1_100_000)).status_code == 413
    assert (await api.nobody.get(path)).status_code == 405


async def test_a_wrong_address_is_told_nothing(api: Api, one: Plane) -> None:
    path = await address(api)
    hand = await one.job(name="by hand")
    job, _, token = path.rpartition("/")
    wrong = [f"{path}x", f"{job}/{'A' * 43}", f"/api/v1/webhooks/none/{token}", f"/api/v1/webhooks/{hand.id}/{token}"]
    answers = [await api.nobody.post(at, json={"n": 1}) for at in wrong]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    rotated = (await api.client.post("/api/v1/jobs/h/rotate-webhook")).json()["webhook_url"].removeprefix(URL)
    assert rotated != path
    assert (await api.nobody.post(path, json={"n": 1})).status_code == 404
    assert (await api.nobody.post(rotated, json={"n": 1})).status_code == 202
    assert (await api.client.post(f"/api/v1/jobs/{hand.id}/rotate-webhook")).status_code == 409


async def test_deliveries_to_a_signed_job_are_signed(api: Api, one: Plane) -> None:
    path = await address(api, webhook_secret=SECRET)
    body = json.dumps({"n": 1}).encode()

    async def sent(secret: str | None) -> int:
        signed = None if secret is None else hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json"} | ({"X-Hub-Signature-256": f"sha256={signed}"} if signed else {})
        return (await api.nobody.post(path, content=body, headers=headers)).status_code

    assert [await sent(secret) for secret in (None, "another secret of it", SECRET)] == [403, 403, 202]
    await api.client.patch("/api/v1/jobs/h", json={"webhook_secret": None})
    assert await sent(None) == 202
    assert len(await one.firings_of("h")) == 2


async def test_the_log_never_holds_an_address(
    api: Api, one: Plane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = await address(api)

    async def defect(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(one.firings, "fire", defect)
    with caplog.at_level(logging.DEBUG):
        assert (await api.nobody.post(path, json={"n": 1})).status_code == 500
    assert "unexpected error" in caplog.text
    shown = " ".join(str(record.__dict__) for record in caplog.records if record.name.startswith("kubiya"))
    assert "/webhooks/" in shown and path.rpartition("/")[2] not in shown


async def test_by_hand_it_is_given_what_its_template_asks_for(api: Api, one: Plane) -> None:
    for body in (HAND, HOOK, CRON):
        assert (await api.client.post("/api/v1/jobs", json=body)).status_code == 201
    for ref, wanted, status in (
        ("m", {"variables": {"what": "it"}}, 200),
        ("m", {}, 409),
        ("m", {"variables": {"what": "it", "who": "x"}}, 422),
        ("m", {"payload": {"n": 1}}, 422),
        ("h", {"payload": {"n": 1}}, 200),
        ("h", {"variables": {"n": "1"}}, 422),
        ("j", {}, 200),
        ("none", {}, 404),
    ):
        answer = await api.client.post(f"/api/v1/jobs/{ref}/trigger", json=wanted)
        assert answer.status_code == status, (ref, wanted, answer.text)
    assert sorted(run.prompt for run in await one.runs()) == ["do it", "p", "see 1"]


async def test_the_clock_wakes_for_a_job_that_is_made_and_for_one_that_is_due(one: Plane) -> None:
    await one.clock.start()
    try:
        job = await one.hourly()
        await one.make_due(job, -timedelta(seconds=0.3))
        one.clock.wake()

        async def fired() -> bool:
            return await one.told() == ["fired"]

        await until(fired)
    finally:
        await one.clock.close()


async def test_a_disabled_job_is_not_due_and_is_again_from_now_on(one: Plane) -> None:
    job = await one.hourly()
    assert (await one.jobs.disable("j", one.caller)).next_at is None
    await one.clock.look()
    assert await one.told() == []
    assert (await by_hand(one)).outcome is Outcome.FIRED, "a person may"
    again = await one.jobs.enable("j", one.caller)
    assert again.next_at == job.next_at and again.next_firings
    hook = await one.job(name="hook", trigger_type="webhook", enabled=False)
    with pytest.raises(Conflict, match="disabled"):
        await one.firings.fire(hook.id, delivery(hook, one))


async def test_a_job_takes_so_many_deliveries_a_minute(one: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing_module, "MOST_A_MINUTE", 2)
    job, other = [await one.job(name=name, trigger_type="webhook") for name in ("j", "other")]
    for identity in ("d1", "d2"):
        await one.firings.fire(job.id, delivery(job, one, identity))
    with pytest.raises(TooManyRequests):
        await one.firings.fire(job.id, delivery(job, one, "d3"))
    assert (await one.firings.fire(job.id, delivery(job, one, "d1"))).outcome is Outcome.FIRED, "known already"
    assert (await one.firings.fire(other.id, delivery(other, one))).outcome is Outcome.FIRED
    assert len(await one.told()) == 2


async def test_it_runs_in_the_name_of_a_key_that_must_be_good(one: Plane) -> None:
    job = await one.hourly(overlap=Overlap.ALLOW)
    async with one.database.writing() as connection:
        await keys.store.revoke(connection, one.key.id, datetime.now(UTC))
    await one.make_due(job)
    await one.clock.look()
    (refused,) = await one.firings_of()
    assert refused.outcome is Outcome.REFUSED and "the key was revoked" in (refused.reason or "")
    assert "kubiya job enable" in (refused.reason or "") and await one.runs() == []

    async with plane(one.database, "two") as other:
        await other.jobs.enable("j", other.caller)
        await other.make_due(job)
        await other.clock.look()
        (run,) = await other.runs()
        assert run.key_id == other.key.id


async def test_a_key_without_budget_fires_nothing(one: Plane) -> None:
    new = NewKey(name="poor", max_cost_usd=0.01)
    poor = await keys.create(one.database, new)
    async with plane(one.database, "two", poor) as two:
        await two.job()
        async with two.database.writing() as connection:
            used = Usage(cost_usd=1.0)
            await usage.add_call(connection, poor.id, poor.name, model="m", used=used, now=datetime.now(UTC))
        with pytest.raises(Conflict, match="the budget of key 'poor' is used up"):
            await by_hand(two)
        assert await two.told() == ["refused"]


async def test_a_trigger_by_hand_is_in_its_callers_name_and_once(one: Plane) -> None:
    await one.job(prompt_template="deploy {{version}} of {{job.name}}")
    async with plane(one.database, "two") as two:
        first, again = [await by_hand(two, identity="t1", version="{{job.id}}") for _ in range(2)]
        assert first.execution_id == again.execution_id
        (run,) = await two.runs()
        assert (run.prompt, run.key_id) == ("deploy {{job.id}} of j", two.key.id)
    with pytest.raises(Conflict, match=r"\{\{version\}\}"):
        await by_hand(one)
