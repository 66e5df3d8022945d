"""The statements of the event log. Sequence numbers are dense, given from `executions.last_seq` under a row lock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.events import RUN_EVENT, Delta, Fact, closes_step, fact_key
from kubiya_workers.contracts.ids import ExecutionId

from .tables import events, executions

_WANTED = sa.bindparam("wanted", type_=sa.String())
_ALL_WANTED = sa.bindparam("wanted", type_=sa.String(), expanding=True)
# Made once: to make a statement costs more than to run it.
_LAST_SEQS = sa.select(executions.c.id, executions.c.last_seq).where(executions.c.id.in_(_ALL_WANTED))
_LOCKED_LAST_SEQS = _LAST_SEQS.order_by(executions.c.id).with_for_update()
_ROWS = (
    sa.select(events.c.seq, events.c.body)
    .where(events.c.execution_id == _WANTED, events.c.seq > sa.bindparam("after", type_=sa.BigInteger()))
    .order_by(events.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
_ROWS_UP_TO = _ROWS.where(events.c.seq <= sa.bindparam("upto", type_=sa.BigInteger()))
_CLOSED_AFTER = sa.select(events.c.step).where(
    events.c.execution_id == _WANTED, events.c.seq > sa.bindparam("after", type_=sa.BigInteger()), events.c.closes_step
)
_INSERT = events.insert()
_MOVE_LAST_SEQ = (
    executions.update().where(executions.c.id == sa.bindparam("of")).values(last_seq=sa.bindparam("newest"))
)
_PRUNE = events.delete().where(
    events.c.execution_id == _WANTED,
    events.c.step.in_(sa.bindparam("steps", type_=sa.Integer(), expanding=True)),
    events.c.part.is_not(None),
)


class StoredEvent(NamedTuple):
    """One row of the log; a delta here is a run of chunks of one part, joined."""

    seq: int
    event: Fact | Delta


class Mark(NamedTuple):
    """What fencing must know of a row. `end` is where a delta's content ends in its part, in characters."""

    seq: int
    key: str
    type: str
    step: int
    attempt: int
    part: str | None
    closes_step: bool
    end: int


def is_delta(event: Fact | Delta) -> bool:
    return event.type.endswith("_chunk")


def end_of(delta: Delta) -> int:
    """Where the content of a delta ends in its part, in characters."""
    return delta.offset + len(delta.content)


async def last_seqs(
    connection: AsyncConnection, ids: Iterable[ExecutionId], *, lock: bool = False
) -> dict[ExecutionId, int]:
    """The newest sequence number of each execution that exists.

    With `lock` the rows are held until the transaction ends; always in one order, so that two control planes
    cannot wait for each other.
    """
    rows = await connection.execute(_LOCKED_LAST_SEQS if lock else _LAST_SEQS, {"wanted": sorted(ids)})
    return {ExecutionId(row.id): row.last_seq for row in rows}


async def marks(connection: AsyncConnection, execution_id: ExecutionId, *, upto: int) -> list[Mark]:
    """The rows of an execution up to a sequence number, without their bodies."""
    columns = events.c
    delta = sa.case((columns.part.is_not(None), columns.body)).label("delta")
    query = (
        sa.select(
            columns.seq,
            columns.key,
            columns.type,
            columns.step,
            columns.attempt,
            columns.part,
            columns.closes_step,
            sa.type_coerce(delta, columns.body.type),
        )
        .where(columns.execution_id == execution_id, columns.seq <= upto)
        .order_by(columns.seq)
    )
    return [Mark(*row[:7], end=_end_of_body(row[7])) for row in await connection.execute(query)]


async def read(
    connection: AsyncConnection, execution_id: ExecutionId, *, after: int, upto: int | None = None, limit: int
) -> list[StoredEvent]:
    """Rows with `after < seq <= upto`, oldest first, `limit` at most."""
    query, values = _ROWS, {"wanted": execution_id, "after": after, "most": limit}
    if upto is not None:
        query, values = _ROWS_UP_TO, {**values, "upto": upto}
    rows = await connection.execute(query, values)
    return [StoredEvent(row.seq, RUN_EVENT.validate_python(row.body)) for row in rows]


async def steps_closed_after(connection: AsyncConnection, execution_id: ExecutionId, seq: int) -> frozenset[int]:
    steps = await connection.execute(_CLOSED_AFTER, {"wanted": execution_id, "after": seq})
    return frozenset(steps.scalars())


async def closing_fact(connection: AsyncConnection, execution_id: ExecutionId, step: int) -> Fact | None:
    """The fact that ended a step, whichever attempt wrote it."""
    query = sa.select(events.c.body).where(
        events.c.execution_id == execution_id, events.c.step == step, events.c.closes_step
    )
    body = (await connection.execute(query)).scalars().first()
    return None if body is None else cast(Fact, RUN_EVENT.validate_python(body))


async def insert(connection: AsyncConnection, rows: Mapping[ExecutionId, Sequence[StoredEvent]]) -> None:
    """Store rows of several executions and move their `last_seq`; each list is not empty and in order."""
    values = [_row(execution_id, *stored) for execution_id, run in rows.items() for stored in run]
    await connection.execute(_INSERT, values)
    newest = [{"of": execution_id, "newest": run[-1].seq} for execution_id, run in rows.items()]
    await connection.execute(_MOVE_LAST_SEQ, newest)


async def prune(connection: AsyncConnection, execution_id: ExecutionId, steps: Iterable[int]) -> None:
    """Delete the delta rows of closed steps: the facts that closed them repeat the whole."""
    await connection.execute(_PRUNE, {"wanted": execution_id, "steps": sorted(steps)})


def _row(execution_id: ExecutionId, seq: int, event: Fact | Delta) -> dict[str, Any]:
    part = _part(event)
    return {
        "execution_id": execution_id,
        "seq": seq,
        "key": fact_key(cast(Fact, event)) if part is None else f"{part}@{cast(Delta, event).offset}",
        "type": event.type,
        "step": event.step,
        "attempt": event.attempt,
        "part": part,
        "closes_step": part is None and closes_step(cast(Fact, event)),
        "body": event.model_dump(mode="json"),
        "timestamp": event.timestamp,
    }


def _part(event: Fact | Delta) -> str | None:
    return cast(Delta, event).part if is_delta(event) else None


def _end_of_body(body: dict[str, Any] | None) -> int:
    return 0 if body is None else body["offset"] + len(body["content"])
