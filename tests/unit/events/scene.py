"""Executions to write about, events to write, and readers who remember what they saw."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kubiya_workers.client.sse import EventStreamParser
from kubiya_workers.contracts.events import (
    Delta,
    Done,
    Fact,
    Marker,
    MessageAdded,
    MessageChunk,
    ModelStarted,
    from_wire,
)
from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import ExecutionId, new_id
from kubiya_workers.control_plane.events.cursor import Cursor
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.control_plane.events.sse import Reader
from kubiya_workers.control_plane.store import tables
from kubiya_workers.control_plane.store.database import Database

DEADLINE_S = 15.0


def row(execution_id: ExecutionId) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "id": execution_id,
        "execution_type": "agent",
        "entity_id": "a",
        "prompt": "p",
        "status": "running",
        "last_seq": 0,
        "created_at": now,
        "updated_at": now,
    }


async def new_execution(database: Database) -> ExecutionId:
    execution_id = ExecutionId(new_id())
    async with database.writing() as connection:
        await connection.execute(tables.executions.insert().values(**row(execution_id)))
    return execution_id


def chunk(content: str, offset: int, *, step: int = 1, attempt: int = 1) -> MessageChunk:
    return MessageChunk(step=step, attempt=attempt, message_id=f"msg-{step}", content=content, offset=offset)


def started(step: int = 1, attempt: int = 1) -> ModelStarted:
    return ModelStarted(step=step, attempt=attempt, model="m")


def answered(content: str, step: int = 1, attempt: int = 1) -> MessageAdded:
    return MessageAdded(step=step, attempt=attempt, role="assistant", content=content, message_id=f"msg-{step}")


def done(execution_id: ExecutionId) -> Done:
    return Done(execution_id=execution_id, status=Status.COMPLETED, response="r")


@dataclass
class Seen:
    """What a reader saw, over as many connections as it made."""

    events: list[tuple[str, Fact | Delta | Marker]] = field(default_factory=list)
    text: dict[str, str] = field(default_factory=dict)
    last_id: str = ""

    def add(self, id_: str, event: Fact | Delta | Marker) -> None:
        self.events.append((id_, event))
        self.last_id = id_ or self.last_id
        if event.type.endswith("_chunk"):
            held = self.text.get(event.part, "")
            assert event.offset == len(held), f"{event.part}: {event.offset} after {len(held)}"
            self.text[event.part] = held + event.content

    @property
    def types(self) -> list[str]:
        return [event.type for _, event in self.events]

    @property
    def facts(self) -> list[str]:
        """Their types, without chunks and markers."""
        skipped = ("_chunk", "connected", "history_complete", "gap_detected")
        return [kind for kind in self.types if not kind.endswith(skipped)]


async def watch(
    log: EventLog,
    execution_id: ExecutionId,
    seen: Seen,
    *,
    until: Callable[[Seen], bool] | None = None,
    keepalive_s: float = 15.0,
) -> None:
    """Read into `seen` from where it was, until `until` or the end of the stream."""
    cursor = Cursor.parse(seen.last_id) if seen.last_id else Cursor()
    reader = await Reader(log, execution_id, cursor, keepalive_s=keepalive_s).open()
    parser = EventStreamParser()
    try:
        async with contextlib.aclosing(reader.blocks()) as blocks:
            async for block in blocks:
                for raw in parser.feed(block):
                    event = from_wire(raw.event, json.loads(raw.data))
                    assert event is not None
                    seen.add(raw.id, event)
                    if until is not None and until(seen):
                        return
    finally:
        reader.close()


async def within(awaitable, seconds: float = DEADLINE_S):  # type: ignore[no-untyped-def]
    async with asyncio.timeout(seconds):
        return await awaitable


async def eventually(condition: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(log: EventLog) -> AsyncIterator[EventLog]:
    await log.start()
    try:
        yield log
    finally:
        await log.close()
