"""The statements of what model calls used."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import ExecutionId, KeyId, WorkerId, new_id
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.usage import UsageBy, UsageSum

from .tables import executions, keys, queues, usage

_SUMMED = tuple(Usage.model_fields)
_GROUPS: Mapping[UsageBy, tuple[sa.ColumnElement[Any], ...]] = {
    UsageBy.AGENT: (usage.c.agent,),
    UsageBy.TEAM: (usage.c.team,),
    UsageBy.MODEL: (usage.c.model,),
    UsageBy.WORKER: (usage.c.worker_id,),
    UsageBy.QUEUE: (usage.c.queue,),
    UsageBy.KEY: (usage.c.key_name, usage.c.key_id),
    UsageBy.DAY: (usage.c.day,),
    UsageBy.EXECUTION: (usage.c.execution_id,),
    UsageBy.STEP: (usage.c.step,),
}
"""By what is grouped; the first column is the name that people see."""


async def add_step(
    connection: AsyncConnection,
    execution_id: ExecutionId,
    step: int,
    *,
    model: str,
    used: Usage,
    worker_id: WorkerId | None,
    now: datetime,
) -> None:
    """The call of one step; one that is there already stays as it is."""
    told = _told(f"{execution_id}:{step}", model, used, now) | {"step": step, "worker_id": worker_id}
    await connection.execute(_ADD_STEP, {**{f"{name}_": value for name, value in told.items()}, "of": execution_id})


async def add_call(
    connection: AsyncConnection, key_id: KeyId, key_name: str, *, model: str, used: Usage, now: datetime
) -> None:
    """A call that belongs to no execution."""
    told = _told(new_id(), model, used, now) | {"key_id": key_id, "key_name": key_name}
    await connection.execute(sa.insert(usage).values(**told))


async def spent(connection: AsyncConnection, key_id: KeyId, since: str | None) -> float:
    """US dollars, from the day `since` on."""
    query = sa.select(sa.func.coalesce(sa.func.sum(usage.c.cost_usd), 0.0)).where(usage.c.key_id == key_id)
    if since is not None:
        query = query.where(usage.c.day >= since)
    return float((await connection.execute(query)).scalar_one())


async def sums(
    connection: AsyncConnection,
    by: UsageBy,
    *,
    since: str | None = None,
    until: str | None = None,
    execution_id: str | None = None,
    limit: int,
) -> Sequence[UsageSum]:
    """Days and steps in their order, all else with the most expensive first. Days are inclusive."""
    group = _GROUPS[by]
    totals = [sa.func.sum(usage.c[name]).label(name) for name in _SUMMED]
    query = sa.select(group[0].label("name"), sa.func.count().label("calls"), *totals).group_by(*group)
    if since is not None:
        query = query.where(usage.c.day >= since)
    if until is not None:
        query = query.where(usage.c.day <= until)
    if execution_id is not None:
        query = query.where(usage.c.execution_id == execution_id)
    in_order = by in (UsageBy.DAY, UsageBy.STEP)
    dearest: tuple[sa.ColumnElement[Any], ...] = (sa.desc("cost_usd"), sa.desc("input_tokens"), group[0])
    order = group if in_order else dearest
    rows = (await connection.execute(query.order_by(*order).limit(limit))).mappings()
    return [
        UsageSum(
            name=None if row["name"] is None else str(row["name"]),
            calls=row["calls"],
            # PostgreSQL sums whole numbers into decimals.
            usage=Usage.model_validate({name: _plain(row[name]) for name in _SUMMED}),
        )
        for row in rows
    ]


def _plain(number: Any) -> float | int:
    return number if isinstance(number, float) else int(number)


def _told(row_id: str, model: str, used: Usage, now: datetime) -> dict[str, Any]:
    return {"id": row_id, "day": now.date().isoformat(), "model": model, **used.model_dump()}


def _adding_a_step() -> sa.Insert:
    """What is told of the call are parameters, each named as its column and a `_`; the rest is its execution's."""
    told = ("id", "day", "model", *_SUMMED, "step", "worker_id")
    columns: dict[str, sa.ColumnElement[Any]] = {
        name: sa.bindparam(f"{name}_", type_=usage.c[name].type).label(name) for name in told
    }
    columns |= {
        "execution_id": executions.c.id,
        # A coordinator's own calls are its team's, and no agent's.
        "agent": sa.case((executions.c.execution_type == "agent", executions.c.entity_name)),
        "team": executions.c.team_name,
        "queue": queues.c.name,
        "key_id": executions.c.key_id,
        "key_name": keys.c.name,
    }
    where_from = executions.outerjoin(queues, queues.c.id == executions.c.worker_queue_id)
    where_from = where_from.outerjoin(keys, keys.c.id == executions.c.key_id)
    known = sa.select(usage.c.id).where(usage.c.id == sa.bindparam("id_", type_=usage.c.id.type))
    run = sa.select(*columns.values()).select_from(where_from)
    run = run.where(executions.c.id == sa.bindparam("of", type_=executions.c.id.type), ~known.exists())
    return sa.insert(usage).from_select(list(columns), run)


_ADD_STEP = _adding_a_step()
