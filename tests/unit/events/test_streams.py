"""Readers over real HTTP: many at once, ones that come and go, and ones that never read."""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from kubiya_workers.client import events as event_log
from kubiya_workers.client.sse import EventStreamParser, follow
from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound, TooLarge, Unauthorized
from kubiya_workers.contracts.events import from_wire
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.control_plane.routes import streams

from .scene import Seen, answered, chunk, done, eventually, new_execution, started, watch, within
from .served import Server, serving

TEXT = "".join(chr(97 + at % 26) for at in range(600))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as server:
        yield server


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as http:
        yield http


def stream_of(execution_id: ExecutionId) -> str:
    return f"/api/v1/executions/{execution_id}/stream"


async def write_run(http: httpx.AsyncClient, execution_id: ExecutionId, pause_s: float = 0.001) -> None:
    await event_log.append(http, execution_id, (started(),))
    for at in range(0, len(TEXT), 5):
        await event_log.append(http, execution_id, (chunk(TEXT[at : at + 5], at),))
        await asyncio.sleep(pause_s)
    await event_log.append(http, execution_id, (answered(TEXT), done(execution_id)))


async def follow_into(http: httpx.AsyncClient, execution_id: ExecutionId, seen: Seen) -> None:
    last = seen.last_id or None
    async with contextlib.aclosing(follow(http, stream_of(execution_id), last_event_id=last)) as events:
        async for id_, event in events:
            seen.add(id_, event)


async def test_the_stream_on_the_wire(server: Server, http: httpx.AsyncClient) -> None:
    execution_id = await new_execution(server.database)
    await event_log.append(http, execution_id, (started(), answered("hi"), done(execution_id)))
    response = await within(http.get(stream_of(execution_id)))
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    lines = [line.split(": ", 1)[0] for line in response.text.split("\n") if line]
    assert lines == ["id", "event", "data"] * 5
    events = EventStreamParser().feed(response.content)
    assert [e.event for e in events] == ["connected", "model_started", "message", "history_complete", "done"]
    assert [e.id for e in events] == ["0", "1", "2", "2", "3"]
    assert json.loads(events[3].data)["message_count"] == 1
    assert all("timestamp" in json.loads(e.data) for e in events)


async def test_who_saw_the_end_is_told_that_there_is_nothing_more(server: Server, http: httpx.AsyncClient) -> None:
    execution_id = await new_execution(server.database)
    await event_log.append(http, execution_id, (done(execution_id),))
    assert (await http.get(stream_of(execution_id), params={"last_event_id": "1"})).status_code == 204
    assert [e async for e in follow(http, stream_of(execution_id), last_event_id="1")] == []


async def test_fifty_readers_see_everything_once(server: Server, http: httpx.AsyncClient) -> None:
    execution_id = await new_execution(server.database)
    seen = [Seen() for _ in range(50)]
    readers = [asyncio.create_task(follow_into(http, execution_id, each)) for each in seen]
    await eventually(lambda: all("history_complete" in each.types for each in seen))
    await within(write_run(http, execution_id))
    await within(asyncio.gather(*readers))
    for each in seen:
        assert each.facts == ["model_started", "message", "done"]
        assert TEXT.startswith(each.text.get("1.1.m", ""))
        assert each.text["1.1.m"] == TEXT
    assert server.log.hub.executions == ()


async def test_readers_that_break_off_at_any_id_miss_nothing(server: Server, http: httpx.AsyncClient) -> None:
    execution_id = await new_execution(server.database)
    dice = random.Random(7)

    async def come_and_go(seen: Seen) -> None:
        while "done" not in seen.types:
            count = len(seen.events) + dice.randint(1, 40)
            headers = {"Last-Event-ID": seen.last_id} if seen.last_id else {}
            parser = EventStreamParser()
            async with http.stream("GET", stream_of(execution_id), headers=headers) as response:
                async for data in response.aiter_raw():
                    for raw in parser.feed(data):
                        event = from_wire(raw.event, json.loads(raw.data))
                        assert event is not None
                        # What was parsed but not reached counts as never received.
                        if len(seen.events) < count:
                            seen.add(raw.id, event)
                    if len(seen.events) >= count:
                        break

    seen = [Seen() for _ in range(8)]
    await within(asyncio.gather(write_run(http, execution_id), *map(come_and_go, seen)), 40)
    for each in seen:
        assert each.facts == ["model_started", "message", "done"]
        assert TEXT.startswith(each.text.get("1.1.m", ""))
    assert server.log.hub.executions == ()


async def test_a_reader_that_never_reads_harms_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, queue_limit=50) as server, server.client() as http:
        execution_id = await new_execution(server.database)
        stuck = socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0))
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        stuck.sendall(
            f"GET {stream_of(execution_id)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n".encode()
        )
        await eventually(lambda: server.log.hub.followed(execution_id))
        seen = Seen()
        reader = asyncio.create_task(follow_into(http, execution_id, seen))
        await eventually(lambda: "history_complete" in seen.types)
        big = "x" * 20_000
        for at in range(150):
            await within(event_log.append(http, execution_id, (chunk(big, at * len(big)),)))
        held = [sub for sub in server.log.hub._readers[execution_id] if len(sub._items) > 50]
        assert held == []
        await event_log.append(http, execution_id, (answered("x"), done(execution_id)))
        await within(reader)
        assert seen.facts == ["message", "done"]
        stuck.close()
        await eventually(lambda: server.log.hub.executions == ())


async def test_a_slow_reader_is_told_of_the_gap_and_replays(tmp_path: Path) -> None:
    async with serving(tmp_path, queue_limit=20) as server:
        log, execution_id = server.log, await new_execution(server.database)
        seen = Seen()

        def pause(seen: Seen) -> bool:
            return "history_complete" in seen.types

        await watch(log, execution_id, seen, until=pause)
        reader = asyncio.create_task(watch(log, execution_id, seen))
        await eventually(lambda: seen.types.count("history_complete") == 2)
        # In one turn of the event loop: the reader cannot run in between, as if it were slow.
        for at in range(100):
            log._live(log._journals[execution_id], (chunk(TEXT[at], at),))
        await log.append(execution_id, (started(step=2),))
        await log.append(execution_id, (answered(TEXT[:100]), done(execution_id)))
        await within(reader)
        assert "gap_detected" in seen.types
        assert seen.facts == ["model_started", "message", "done"]


async def test_silence_is_broken_by_keepalives(server: Server) -> None:
    from kubiya_workers.control_plane.events.cursor import Cursor
    from kubiya_workers.control_plane.events.sse import Reader

    execution_id = await new_execution(server.database)
    reader = await Reader(server.log, execution_id, Cursor(), keepalive_s=0.02).open()
    blocks = reader.blocks()
    got = [await within(anext(blocks)) for _ in range(4)]
    await blocks.aclose()
    assert got[2:] == [b": keepalive\n\n"] * 2
    assert server.log.hub.executions == ()


async def test_bad_requests_are_refused_in_words(server: Server, http: httpx.AsyncClient) -> None:
    execution_id = await new_execution(server.database)
    path = f"/api/v1/executions/{execution_id}/events"
    for body, words in [
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b'{"events":[{"event_type":"message","data":{}}]}', "role"),
        (b'{"event_type":"connected","data":{"execution_id":"e"}}', "never appended"),
        (b'{"events":[{"data":{}}]}', "event_type"),
    ]:
        response = await http.post(path, content=body)
        assert (response.status_code, words in response.json()["detail"]) == (422, True), response.text
    response = await http.post(path, json={"event_type": "from_the_future", "data": {}})
    assert (response.status_code, response.json()["accepted"]) == (202, 0)
    with pytest.raises(Unauthorized):
        server.auth.revoked = True
        await event_log.append(http, execution_id, (started(),))
    server.auth.revoked = False
    response = await http.get(stream_of(execution_id), headers={"Last-Event-ID": "nonsense"})
    assert (response.status_code, "'nonsense'" in response.json()["detail"]) == (422, True)


async def test_refusals_reach_the_client_as_what_they_are(
    server: Server, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id, nowhere = await new_execution(server.database), ExecutionId("nowhere")
    await event_log.append(http, execution_id, (started(attempt=2),))
    with pytest.raises(Conflict):
        await event_log.append(http, execution_id, (started(attempt=1),))
    with pytest.raises(NotFound):
        await event_log.append(http, nowhere, (started(),))
    with pytest.raises(NotFound):
        await anext(aiter(follow(http, stream_of(nowhere))))
    with pytest.raises(Invalid):
        await anext(aiter(follow(http, stream_of(execution_id), last_event_id="99")))
    monkeypatch.setattr(streams, "MAX_BODY", 100)
    with pytest.raises(TooLarge):
        await event_log.append(http, execution_id, (chunk("x" * 200, 0),))


async def test_stored_events_and_results_are_read(server: Server, http: httpx.AsyncClient) -> None:
    execution_id = await new_execution(server.database)
    assert await event_log.step_result(http, execution_id, 1) is None
    await event_log.append(http, execution_id, (started(), answered("hi")))
    fact = await event_log.step_result(http, execution_id, 1)
    assert fact is not None
    assert (fact.type, fact.step) == ("message", 1)
    response = await http.get(f"/api/v1/executions/{execution_id}/events", params={"after": 1, "limit": 5})
    assert [(e["id"], e["event"], e["data"]["content"]) for e in response.json()] == [("2", "message", "hi")]
