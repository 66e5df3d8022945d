"""The worker's end: in order, whole and once, whatever the network and the control plane do."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from kubiya_workers.client.errors import Unreachable
from kubiya_workers.contracts.errors import Conflict, Unauthorized
from kubiya_workers.contracts.events import MessageChunk
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.worker.events.outbox import Outbox
from kubiya_workers.worker.events.publisher import Publisher, StaleAttempt
from kubiya_workers.worker.events.uplink import Uplink

from .scene import Seen, answered, chunk, done, eventually, new_execution, started, watch, within
from .served import Server, application, on_port, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as server:
        yield server


def publisher(http: httpx.AsyncClient, execution_id: ExecutionId, **more: float) -> Publisher:
    return Publisher(http, execution_id, step=1, attempt=1, **more)


async def test_what_is_said_is_stored_when_flush_returns(server: Server) -> None:
    execution_id = await new_execution(server.database)
    async with server.client() as http, publisher(http, execution_id) as said:
        await said.fact(started())
        for word in ["a", "few", "words", ""]:
            said.on_model_delta("message", word + " ")
        said.on_model_delta("reasoning", "because")
        said.on_tool_output("out")
        await said.fact(answered("a few words"))
        await within(said.flush())
        assert [event.type for _, event in await server.log.read(execution_id)] == ["model_started", "message"]


async def test_what_comes_while_a_request_is_on_its_way_goes_together(server: Server) -> None:
    execution_id = await new_execution(server.database)
    async with server.client() as http, publisher(http, execution_id) as said:
        for at in range(100):
            said.on_model_delta("message", str(at))
            if at == 0:
                await eventually(lambda: bool(server.appends))
        await within(said.flush())
    sent = [event for append in server.appends for event in append]
    assert len(sent) <= 5
    assert "".join(event.content for event in sent if isinstance(event, MessageChunk)) == "".join(map(str, range(100)))


async def test_a_stale_attempt_stops_at_once(server: Server) -> None:
    execution_id = await new_execution(server.database)
    await server.log.append(execution_id, (started(attempt=2),))
    async with server.client() as http, publisher(http, execution_id) as said:
        await said.fact(started())
        with pytest.raises(StaleAttempt):
            await within(said.flush())
        with pytest.raises(Conflict):
            said.on_model_delta("message", "more")
        with pytest.raises(StaleAttempt):
            await said.fact(answered("x"))


async def test_a_revoked_token_is_not_retried(server: Server) -> None:
    execution_id = await new_execution(server.database)
    server.auth.revoked = True
    async with server.client() as http, publisher(http, execution_id) as said:
        await said.fact(started())
        with pytest.raises(Unauthorized):
            await within(said.flush())


async def test_patience_ends(server: Server) -> None:
    execution_id = await new_execution(server.database)
    nowhere = httpx.AsyncClient(base_url="http://127.0.0.1:1", trust_env=False)
    async with nowhere as http, publisher(http, execution_id, patience_s=0.2) as said:
        await said.fact(started())
        with pytest.raises(Unreachable):
            await within(said.flush())


async def test_publishers_share_requests_and_not_their_failures(server: Server) -> None:
    """Fifty at once through one uplink, two of them refused: the others arrive whole, in far fewer requests."""
    execution_ids = [await new_execution(server.database) for _ in range(50)]
    for stale in execution_ids[:2]:
        await server.log.append(stale, (started(attempt=2),))
    requests: list[httpx.Request] = []

    async def count(request: httpx.Request) -> None:
        requests.append(request)

    async def say(http: httpx.AsyncClient, uplink: Uplink, execution_id: ExecutionId) -> None:
        async with Publisher(http, execution_id, step=1, attempt=1, uplink=uplink) as said:
            await said.fact(started())
            for at in range(20):
                said.on_model_delta("message", f"{at} ")
                await asyncio.sleep(0.001)
            await said.fact(answered("whole"))
            await said.flush()

    async with server.client() as http:
        http.event_hooks = {"request": [count]}
        uplink = Uplink(http)
        outcomes = await within(
            asyncio.gather(*(say(http, uplink, each) for each in execution_ids), return_exceptions=True)
        )
    assert [type(outcome) for outcome in outcomes] == [StaleAttempt] * 2 + [type(None)] * 48
    for execution_id in execution_ids[2:]:
        assert [event.type for _, event in await server.log.read(execution_id)] == ["model_started", "message"]
    assert len(requests) < 200


class Flaky:
    """Answers some requests with 500 or 429, and loses the answers of others after they were processed."""

    def __init__(self, app, dice: random.Random) -> None:  # type: ignore[no-untyped-def]
        self.app, self.dice = app, dice

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        fate = self.dice.random() if scope["method"] == "POST" else 1.0
        if fate < 0.15:
            await Response(status_code=self.dice.choice([500, 502, 429]))(scope, receive, send)
        elif fate < 0.35:

            async def lose(message) -> None:  # type: ignore[no-untyped-def]
                raise ConnectionResetError

            with pytest.raises(ConnectionResetError):
                await self.app(scope, receive, lose)
            await Response(status_code=503)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def test_a_flaky_server_loses_and_doubles_nothing(server: Server) -> None:
    execution_id, seen = await new_execution(server.database), Seen()
    reader = asyncio.create_task(watch(server.log, execution_id, seen))
    text = "".join(f"{at} " for at in range(300))
    async with on_port(Flaky(application(server), random.Random(3))) as port:
        url = f"http://127.0.0.1:{port}"
        client = httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer good"}, trust_env=False)
        async with client as http, publisher(http, execution_id) as said:
            await said.fact(started())
            for at in range(300):
                said.on_model_delta("message", f"{at} ")
                await asyncio.sleep(0.0005)
            await said.fact(answered(text))
            await within(said.flush())
    await server.log.append(execution_id, (done(execution_id),))
    await within(reader)
    assert seen.facts == ["model_started", "message", "done"]
    assert seen.text["1.1.m"] == text


async def test_a_restart_that_lost_chunks_is_made_good(server: Server) -> None:
    execution_id, seen = await new_execution(server.database), Seen()
    async with server.client() as http, publisher(http, execution_id) as said:
        await said.fact(started())
        for at in range(50):
            said.on_model_delta("message", f"{at} ")
        await within(said.flush())
        # As after kill -9: a log that knows only what is stored.
        killed, server.log = server.log, EventLog(server.database)
        assert killed._journals[execution_id].unstored
        await server.log.start()
        for at in range(50, 100):
            said.on_model_delta("message", f"{at} ")
        await within(said.flush())
        reader = asyncio.create_task(watch(server.log, execution_id, seen))
        await eventually(lambda: seen.text.get("1.1.m", "").endswith("99 "))
        assert seen.text["1.1.m"] == "".join(f"{at} " for at in range(100))
        await server.log.close()
        await within(reader)
        server.log = killed


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(min_size=1, max_size=9)), max_size=30), st.data())
def test_an_outbox_keeps_order_and_resends_from_where_it_is_asked(
    texts: list[tuple[str, str]], data: st.DataObject
) -> None:
    box, whole, got = Outbox(), {"a": "", "b": ""}, {"a": "", "b": ""}

    def make(name: str):  # type: ignore[no-untyped-def]
        return lambda content, offset: chunk(content, offset, step=1 if name == "a" else 2)

    def drain() -> None:
        while batch := box.take(most_events=3, most_text=7):
            assert len(batch) <= 3
            assert sum(len(event.content) for event in batch) <= 7
            for event in batch:
                name = "a" if event.step == 1 else "b"
                assert event.offset == len(got[name])
                got[name] += event.content
            if data.draw(st.booleans()):
                name = data.draw(st.sampled_from("ab"))
                held = data.draw(st.integers(0, len(got[name])))
                if data.draw(st.integers(0, 3)) == 0:
                    got[name] = got[name][:held]
                    box.rewind(name, held)

    for name, text in texts:
        box.add_text(name, text, make(name))
        whole[name] += text
        if data.draw(st.booleans()):
            drain()
    drain()
    assert got == whole
