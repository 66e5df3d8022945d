"""The event log on every backend: order, identity, fencing, chunks, and what is shared by one transaction."""

import asyncio

import pytest
import sqlalchemy as sa

from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound, Unavailable
from kubiya_workers.contracts.events import Delta, Fact, StatusChanged, ToolOutputChunk, UsageReported
from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import ExecutionId, new_id
from kubiya_workers.control_plane.events.cursor import Cursor
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.control_plane.events.sse import Reader
from kubiya_workers.control_plane.store import tables
from kubiya_workers.control_plane.store.database import Database
from tests.unit.events.scene import (
    Seen,
    answered,
    chunk,
    done,
    eventually,
    new_execution,
    row,
    running,
    started,
    watch,
    within,
)


@pytest.fixture
async def log(database: Database):  # type: ignore[no-untyped-def]
    async with running(EventLog(database)) as log:
        yield log


async def stored(log: EventLog, execution_id: ExecutionId) -> list[Fact | Delta]:
    rows = await log.read(execution_id)
    assert [seq for seq, _ in rows] == sorted({seq for seq, _ in rows})
    return [event for _, event in rows]


async def types(log: EventLog, execution_id: ExecutionId) -> list[str]:
    return [event.type for event in await stored(log, execution_id)]


async def test_facts_are_numbered_from_one_and_durable_on_return(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    appended = await log.append(execution_id, (started(), answered("hi")))
    assert appended.accepted == 2
    assert [seq for seq, _ in await log.read(execution_id)] == [1, 2]
    assert await log.read(execution_id, after_seq=1, limit=1) == (await log.read(execution_id))[1:]


async def test_a_fact_that_is_sent_again_is_acknowledged_and_ignored(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    batch = (started(), chunk("hi", 0), answered("hi"), done(execution_id))
    await log.append(execution_id, batch)
    await log.append(execution_id, batch)
    assert await types(log, execution_id) == ["model_started", "message", "done"]


async def test_an_unknown_execution_is_not_found(log: EventLog) -> None:
    nowhere = ExecutionId(new_id())
    for attempt in (log.append(nowhere, (started(),)), log.append(nowhere, (chunk("a", 0),)), log.read(nowhere)):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(NotFound):
        await Reader(log, nowhere, Cursor()).open()


async def test_stale_attempts_and_words_after_the_end_are_refused(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    await log.append(execution_id, (started(attempt=2),))
    for late in (started(attempt=1), chunk("x", 0, attempt=1), answered("x", attempt=1)):
        with pytest.raises(Conflict, match="stale"):
            await log.append(execution_id, (late,))
    await log.append(execution_id, (answered("two", attempt=2),))
    for other in (started(attempt=3), answered("three", attempt=3)):
        with pytest.raises(Conflict, match="already finished by attempt 2"):
            await log.append(execution_id, (other,))
    await log.append(execution_id, (done(execution_id),))
    with pytest.raises(Conflict, match="over"):
        await log.append(execution_id, (started(step=2),))
    assert await types(log, execution_id) == ["model_started", "message", "done"]


async def test_one_refused_event_refuses_its_append_as_a_whole(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    with pytest.raises(Conflict):
        await log.append(execution_id, (answered("a"), started(attempt=2)))
    assert await stored(log, execution_id) == []
    await log.append(execution_id, (started(),))
    assert await types(log, execution_id) == ["model_started"]


async def test_the_closing_fact_of_a_step_is_found(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    assert await log.step_result(execution_id, 1) is None
    await log.append(execution_id, (started(), answered("hi")))
    assert await log.step_result(execution_id, 1) == (await stored(log, execution_id))[-1]
    assert await log.step_result(execution_id, 2) is None


async def test_chunks_are_joined_in_storage_and_go_with_the_fact_that_repeats_them(
    log: EventLog, database: Database
) -> None:
    execution_id = await new_execution(database)
    for at in range(10):
        await log.append(execution_id, (chunk(str(at), at), chunk(str(at), at, step=2)))
    usage = UsageReported(step=1, model="m")
    await log.append(execution_id, (usage,))
    assert [e.content for e in await stored(log, execution_id) if isinstance(e, type(chunk("", 0)))] == [
        "0123456789"
    ] * 2
    await log.append(execution_id, (answered("0123456789"),))
    left = await stored(log, execution_id)
    assert [(e.type, e.step) for e in left] == [("message_chunk", 2), ("usage", 1), ("message", 1)]


async def test_chunks_become_rows_without_any_fact(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    await log.append(execution_id, (chunk("abc", 0),))
    async with asyncio.timeout(5):
        while not await stored(log, execution_id):
            await asyncio.sleep(0.01)


async def test_chunks_that_overlap_are_trimmed_and_holes_are_reported(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    assert (await log.append(execution_id, (chunk("abcd", 0),))).behind == {}
    assert (await log.append(execution_id, (chunk("cdef", 2),))).behind == {}
    behind = await log.append(execution_id, (chunk("xyz", 9), chunk("!", 12)))
    assert (behind.accepted, behind.behind) == (0, {"1.1.m": 6})
    await log.append(execution_id, (UsageReported(step=1, model="m"),))
    contents = [e.content for e in await stored(log, execution_id) if e.type == "message_chunk"]
    assert contents == ["abcdef"]


async def test_after_a_restart_the_log_says_from_where_to_send_again(database: Database) -> None:
    execution_id = await new_execution(database)
    async with running(EventLog(database)) as first:
        await first.append(execution_id, (started(), chunk("abc", 0)))
    async with running(EventLog(database)) as second:
        assert (await second.append(execution_id, (chunk("z", 5),))).behind == {"1.1.m": 3}
        assert (await second.append(execution_id, (chunk("defz", 3), answered("abcdefz")))).behind == {}
        with pytest.raises(Conflict):
            await second.append(execution_id, (started(attempt=2),))


async def test_also_runs_in_the_same_transaction(log: EventLog, database: Database) -> None:
    execution_id = ExecutionId(new_id())

    async def insert(connection) -> None:  # type: ignore[no-untyped-def]
        await connection.execute(tables.executions.insert().values(**row(execution_id)))

    await log.append(execution_id, (StatusChanged(status=Status.PENDING),), also=insert, is_new=True)
    assert await types(log, execution_id) == ["status"]

    async def refuse(connection) -> None:  # type: ignore[no-untyped-def]
        await connection.execute(tables.executions.update().values(status="broken"))
        raise Conflict("no")

    with pytest.raises(Conflict):  # alone in its transaction
        await log.append(execution_id, (started(),), also=refuse)
    others = [await new_execution(database) for _ in range(5)]
    results = await asyncio.gather(
        *(log.append(other, (started(),)) for other in others[:2]),
        log.append(execution_id, (started(),), also=refuse),
        log.append(execution_id, (started(step=4),)),
        *(log.append(other, (started(),)) for other in others[2:]),
        return_exceptions=True,
    )
    assert [type(result) for result in results].count(Conflict) == 1
    assert await types(log, execution_id) == ["status", "model_started"]
    async with database.reading() as connection:
        statuses = set((await connection.execute(sa.select(tables.executions.c.status))).scalars())
    assert "broken" not in statuses


async def test_one_append_that_cannot_be_stored_does_not_harm_its_batch(log: EventLog, database: Database) -> None:
    execution_ids = [await new_execution(database) for _ in range(3)]

    async def break_it(connection) -> None:  # type: ignore[no-untyped-def]
        await connection.execute(sa.text("INSERT INTO no_such_table VALUES (1)"))

    results = await asyncio.gather(
        log.append(execution_ids[0], (started(),)),
        log.append(execution_ids[1], (started(),), also=break_it),
        log.append(execution_ids[2], (started(),)),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Appended", "Unavailable", "Appended"]
    assert [await types(log, each) for each in execution_ids] == [["model_started"], [], ["model_started"]]


async def test_nul_in_a_tool_s_output_can_be_stored(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    said = ToolOutputChunk(step=1, tool_execution_id="t", content="a\0b", offset=0)
    await log.append(execution_id, (said, UsageReported(step=1, model="m")))
    assert [e.content for e in await stored(log, execution_id) if e.type == "tool_output_chunk"] == ["a\ufffdb"]


async def test_many_writers_at_once_leave_no_hole_and_no_duplicate(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    await asyncio.gather(*(log.append(execution_id, (started(step=step),)) for step in range(1, 101)))
    rows = await log.read(execution_id)
    assert [seq for seq, _ in rows] == list(range(1, 101))
    assert {event.step for _, event in rows} == set(range(1, 101))


async def test_two_control_planes_serve_one_execution(database: Database) -> None:
    """Appends and readers are on different ones; the worker changes sides in the middle of a message."""
    execution_id = await new_execution(database)
    async with running(EventLog(database, poll_s=0.05)) as left, running(EventLog(database, poll_s=0.05)) as right:
        seen = (Seen(), Seen())
        readers = [asyncio.create_task(watch(log, execution_id, s)) for log, s in zip((left, right), seen, strict=True)]
        text = "".join(chr(97 + at % 26) for at in range(200))
        await left.append(execution_id, (started(),))
        at = 0
        while at < len(text):
            for plane in (left, right):
                answer = await plane.append(execution_id, (chunk(text[at : at + 7], at),))
                held = answer.behind.get("1.1.m")
                if held is not None:
                    await plane.append(execution_id, (chunk(text[held : at + 7], held),))
                at = min(at + 7, len(text))
                await asyncio.sleep(0.004)
        await asyncio.gather(*(plane.append(execution_id, (started(step=s),)) for s, plane in ((2, left), (3, right))))
        with pytest.raises(Conflict):
            await right.append(execution_id, (started(step=1, attempt=2), answered("x", attempt=1)))
        await right.append(execution_id, (answered(text),))
        with pytest.raises(Conflict):
            await left.append(execution_id, (started(attempt=2),))
        await left.append(execution_id, (done(execution_id),))
        await within(asyncio.gather(*readers))
        for each in seen:
            assert sorted(each.facts) == ["done", "message", "model_started", "model_started", "model_started"]
            assert text.startswith(each.text.get("1.1.m", ""))


async def test_a_cursor_past_the_end_is_refused(log: EventLog, database: Database) -> None:
    execution_id = await new_execution(database)
    with pytest.raises(Invalid):
        await Reader(log, execution_id, Cursor(7)).open()


async def test_a_closed_log_has_stored_everything_and_refuses_more(database: Database) -> None:
    execution_id = await new_execution(database)
    log = EventLog(database)
    await log.start()
    seen = Seen()
    reader = asyncio.create_task(watch(log, execution_id, seen))
    await eventually(lambda: "history_complete" in seen.types)
    await log.append(execution_id, (started(), chunk("abc", 0)))
    await log.append(execution_id, (chunk("def", 3),))
    await within(log.close())
    await within(reader)
    assert [e.content for e in await stored(log, execution_id) if e.type == "message_chunk"] == ["abcdef"]
    with pytest.raises(Unavailable):
        await log.append(execution_id, (started(step=2),))
