"""One request out, one typed answer or refusal back; nothing is ever asked twice."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.client.connection import Connection
from kubiya_workers.client.errors import Unreachable, Unreadable
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.client.paths import part
from kubiya_workers.contracts.agents import AgentPatch
from kubiya_workers.contracts.errors import Unauthorized
from kubiya_workers.contracts.executions import ApprovalAnswer, NewExecution
from kubiya_workers.contracts.queues import NewQueue

NOW = "2026-01-01T00:00:00Z"
AGENT = {"id": "a1", "name": "ops", "created_at": NOW, "updated_at": NOW}


class Wire:
    """Answers from a list; keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, url: str = "http://127.0.0.1:7466/") -> ControlPlaneClient:
        return ControlPlaneClient(url, "kbw_secret", transport=httpx.MockTransport(self))


async def test_the_key_and_the_path_are_sent() -> None:
    wire = Wire(httpx.Response(200, json=[AGENT]))
    async with wire.client() as cp:
        agents = await cp.agents.list(limit=5)
    assert [agent.name for agent in agents] == ["ops"]
    request = wire.asked[0]
    assert str(request.url) == "http://127.0.0.1:7466/api/v1/agents?skip=0&limit=5"
    assert request.headers["authorization"] == "Bearer kbw_secret"


async def test_only_a_failed_connect_is_tried_again() -> None:
    wire = Wire(httpx.ConnectError("refused"), httpx.Response(200, json=[]))
    async with wire.client() as cp:
        assert await cp.agents.list() == []
    wire = Wire(httpx.ReadError("cut off"), httpx.Response(200, json=[]))
    async with wire.client() as cp:
        with pytest.raises(Unreachable):
            await cp.agents.execute("ops", NewExecution(prompt="p"))
    assert len(wire.asked) == 1


async def test_execute_is_named_so_that_it_happens_once() -> None:
    answer = {"id": "e", "execution_id": "e", "workflow_id": "w", "status": "pending", "message": "m"}
    wire = Wire(httpx.Response(200, json=answer), httpx.Response(200, json=answer))
    async with wire.client() as cp:
        await cp.agents.execute("ops", NewExecution(prompt="p"))
        await cp.agents.execute("ops", NewExecution(prompt="p"), idempotency_key="mine")
    first, second = (request.headers["idempotency-key"] for request in wire.asked)
    assert first and first != second == "mine"


async def test_an_answer_of_something_else_is_said_to_be_so() -> None:
    wire = Wire(httpx.Response(200, text="<html>"), httpx.Response(200, json=[{"id": "a"}]))
    async with wire.client() as cp:
        with pytest.raises(Unreadable, match="the body"):
            await cp.agents.list()
        with pytest.raises(Unreadable, match=r"0\.name"):
            await cp.agents.list()


async def test_a_patch_sends_only_what_was_set() -> None:
    wire = Wire(httpx.Response(200, json=AGENT))
    async with wire.client() as cp:
        await cp.agents.edit("ops", AgentPatch(description=None, name="new"))
    assert wire.asked[0].read() == b'{"name":"new","description":null}'


async def test_each_steering_request_is_its_route() -> None:
    wire = Wire(*[httpx.Response(200, json={}) for _ in range(5)], httpx.Response(204), httpx.Response(204))
    async with wire.client() as cp:
        await cp.executions.cancel("e")
        await cp.executions.pause("e")
        await cp.executions.resume("e")
        await cp.executions.message("e", "go on")
        await cp.executions.answer("e", "ap", ApprovalAnswer(decision="approved"))
        await cp.queues.delete("q", force=True)
        await cp.keys.revoke("k")
    assert [f"{request.method} {request.url.path}" for request in wire.asked] == [
        "POST /api/v1/executions/e/cancel",
        "POST /api/v1/executions/e/pause",
        "POST /api/v1/executions/e/resume",
        "POST /api/v1/executions/e/message",
        "POST /api/v1/executions/e/approvals/ap",
        "DELETE /api/v1/worker-queues/q",
        "DELETE /api/v1/keys/k",
    ]
    assert wire.asked[5].url.query == b"force=true"


async def test_a_queue_is_made_in_its_environment() -> None:
    answer = {"id": "q", "environment_id": "e", "name": "n", "task_queue_name": "q", "created_at": NOW}
    wire = Wire(httpx.Response(201, json={**answer, "updated_at": NOW}))
    async with wire.client() as cp:
        queue = await cp.queues.create(NewQueue(name="n", ephemeral=True), environment="prod")
    assert queue.name == "n"
    assert wire.asked[0].url.path == "/api/v1/environments/prod/worker-queues"


async def test_an_unhealthy_control_plane_has_an_answer_too() -> None:
    body = {"status": "unhealthy", "version": "1", "checks": {"temporal": {"ok": False, "detail": "gone"}}}
    wire = Wire(httpx.Response(503, json=body), httpx.Response(200, text="hello"))
    async with wire.client() as cp:
        assert (await cp.health.get()).checks["temporal"].detail == "gone"
        with pytest.raises(Unreadable):
            await cp.health.get()


@pytest.mark.parametrize("key", ["k\nX-Evil: 1", "schlüssel"])
def test_a_key_that_is_none_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(Unauthorized) as raised:
        Connection("http://127.0.0.1:1", key)
    assert key not in raised.value.detail


@pytest.mark.parametrize("url", ["http://[", "http://127.0.0.1:99999", "ftp://x"])
async def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    async with ControlPlaneClient(url, "k") as cp:
        with pytest.raises(Unreachable):
            await cp.agents.list()


@given(st.text())
def test_a_name_stays_one_part_of_the_path(name: str) -> None:
    quoted = part(name.encode(errors="replace").decode())
    assert not set("/?#") & set(quoted)
    assert quoted not in (".", "..")
