"""The statements of executions. Which change is allowed is the service's business, not theirs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import Unpack

from kubiya_workers.contracts.executions import Execution, FailureReason, RunStart, Status
from kubiya_workers.contracts.ids import ExecutionId, QueueId, WorkerId
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.teams import Member
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.contracts.wire import JsonObject

from .dialects import minute_text, without_nul
from .errors import taken
from .tables import executions, provisions

_INTERNAL = ("workspace", "run_start", "members", "task_queue_name", "last_seq", "traced_at")
SHOWN = [column for column in executions.c if column.name not in _INTERNAL]
_OPEN = [status.value for status in Status if not status.is_terminal]
# Made once: to make a statement costs more than to run it. Which columns change is told by the values it is run with.
_IS_WANTED = executions.c.id == sa.bindparam("wanted")
_INSERT = sa.insert(executions)
_GET = sa.select(*SHOWN).where(_IS_WANTED)
_GET_RUN = sa.select(executions).where(_IS_WANTED)
_LOCK_STATUS = sa.select(executions.c.status).where(_IS_WANTED).with_for_update()
_OPEN_RUN = (executions.c.status, executions.c.workspace, executions.c.execution_type)
_LOCK_OPEN = sa.select(*_OPEN_RUN).where(_IS_WANTED).with_for_update()
_UPDATE = sa.update(executions).where(_IS_WANTED)


@dataclass(frozen=True)
class StoredRun:
    """An execution with all that its run needs. The workspaces hold secrets: they are never shown."""

    execution: Execution
    workspace: Workspace
    run_start: RunStart
    task_queue_name: str
    members: tuple[Member, ...] = ()

    @property
    def workspaces(self) -> tuple[Workspace, ...]:
        """Its own, and its members'."""
        return (self.workspace, *(member.workspace for member in self.members))


class Changes(TypedDict, total=False):
    """The columns that change in an execution's life."""

    status: Status
    status_reason: str | None
    response: str | None
    error_message: str | None
    failure_reason: FailureReason | None
    model: str | None
    usage: Usage
    execution_metadata: JsonObject
    workspace: Workspace
    members: None
    worker_queue_id: QueueId | None
    worker_id: WorkerId | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime


async def insert(connection: AsyncConnection, run: StoredRun) -> None:
    """Raises `Conflict` when the execution is stored already."""
    execution = run.execution
    fields = {name: getattr(execution, name) for name in Execution.model_fields if name in executions.c}
    fields |= {"workspace": run.workspace, "run_start": run.run_start, "task_queue_name": run.task_queue_name}
    fields |= {"members": [one.model_dump(mode="json") for one in run.members] or None, "last_seq": 0}
    with taken(f"execution {execution.id}"):
        await connection.execute(_INSERT, _columns(fields))


async def get(connection: AsyncConnection, execution_id: ExecutionId) -> Execution | None:
    row = (await connection.execute(_GET, {"wanted": execution_id})).mappings().first()
    return None if row is None else as_shown(row)


async def get_run(connection: AsyncConnection, execution_id: ExecutionId) -> StoredRun | None:
    row = (await connection.execute(_GET_RUN, {"wanted": execution_id})).mappings().first()
    return None if row is None else _run(row)


async def lock_status(connection: AsyncConnection, execution_id: ExecutionId) -> Status | None:
    """The status, held until the transaction ends; None when there is no such execution."""
    status = (await connection.execute(_LOCK_STATUS, {"wanted": execution_id})).scalar_one_or_none()
    return None if status is None else Status(status)


@dataclass(frozen=True)
class OpenRun:
    """What the end of a run depends on."""

    status: Status
    workspace: Workspace
    is_team: bool


async def lock_open(connection: AsyncConnection, execution_id: ExecutionId) -> OpenRun | None:
    """A run that is not over, held until the transaction ends; else None."""
    row = (await connection.execute(_LOCK_OPEN, {"wanted": execution_id})).first()
    if row is None or (status := Status(row.status)).is_terminal:
        return None
    return OpenRun(status, Workspace.model_validate(row.workspace or {}), row.execution_type == "team")


async def update(connection: AsyncConnection, execution_id: ExecutionId, **changes: Unpack[Changes]) -> None:
    """Change these columns; `updated_at` is now unless it is given."""
    values = _columns({"updated_at": datetime.now(UTC), **changes})
    await connection.execute(_UPDATE, {"wanted": execution_id, **values})


@dataclass(frozen=True)
class Filter:
    """Which executions are meant; None filters nothing. `text` is looked for in prompt, answer, error and id."""

    status: str | None = None
    agent_id: str | None = None
    team_id: str | None = None
    execution_type: str | None = None
    queue_id: str | None = None
    worker_id: str | None = None
    job_id: str | None = None
    parent_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


async def list_(
    connection: AsyncConnection,
    wanted: Filter | None = None,
    *,
    sort: str = "created_at",
    descending: bool = True,
    skip: int = 0,
    limit: int | None = None,
) -> Sequence[Execution]:
    """Newest first, unless sorted otherwise, by one of `contracts.executions.SORTS`; `limit` None means all."""
    column = executions.c["entity_name" if sort == "agent" else sort]
    order = (column.desc() if descending else column.asc(), executions.c.created_at.desc(), executions.c.id)
    query = sa.select(*SHOWN).order_by(*order).offset(skip).limit(limit).where(*_conditions(wanted or Filter()))
    return [as_shown(row) for row in (await connection.execute(query)).mappings()]


async def count(connection: AsyncConnection, wanted: Filter) -> int:
    query = sa.select(sa.func.count()).select_from(executions).where(*_conditions(wanted))
    return (await connection.execute(query)).scalar_one()


def _conditions(wanted: Filter) -> Iterator[sa.ColumnElement[bool]]:
    equal = {
        executions.c.status: wanted.status,
        executions.c.execution_type: wanted.execution_type,
        executions.c.worker_queue_id: wanted.queue_id,
        executions.c.worker_id: wanted.worker_id,
        executions.c.job_id: wanted.job_id,
        executions.c.parent_execution_id: wanted.parent_id,
    }
    yield from (column == value for column, value in equal.items() if value is not None)
    for kind, entity_id in (("agent", wanted.agent_id), ("team", wanted.team_id)):
        if entity_id is not None:
            yield sa.and_(executions.c.execution_type == kind, executions.c.entity_id == entity_id)
    if wanted.since is not None:
        yield executions.c.created_at >= wanted.since
    if wanted.until is not None:
        yield executions.c.created_at < wanted.until
    if wanted.text:
        searched = (executions.c.prompt, executions.c.response, executions.c.error_message, executions.c.id)
        yield sa.or_(*(column.icontains(without_nul(wanted.text), autoescape=True) for column in searched))


async def activity(connection: AsyncConnection, since: datetime) -> Mapping[datetime, Mapping[str, int]]:
    """How many executions were started, completed and failed in each minute since then; a minute without is absent."""
    found: dict[datetime, dict[str, int]] = {}
    counted = (
        ("started", executions.c.created_at, None),
        ("completed", executions.c.completed_at, Status.COMPLETED),
        ("failed", executions.c.completed_at, Status.FAILED),
    )
    for name, moment, status in counted:
        minute = minute_text(connection, moment)
        query = sa.select(minute, sa.func.count()).where(moment >= since).group_by(minute)
        query = query if status is None else query.where(executions.c.status == status.value)
        for at, number in await connection.execute(query):
            found.setdefault(datetime.fromisoformat(f"{at}+00:00"), {})[name] = number
    return found


async def list_open(connection: AsyncConnection) -> Sequence[StoredRun]:
    """Every run that is not over, oldest first."""
    query = sa.select(executions).where(executions.c.status.in_(_OPEN)).order_by(executions.c.created_at)
    return [_run(row) for row in (await connection.execute(query)).mappings()]


async def open_members(connection: AsyncConnection, team_run: ExecutionId) -> Sequence[Execution]:
    """The runs that a team's run delegated and that are not over, oldest first."""
    query = sa.select(*SHOWN).where(executions.c.parent_execution_id == team_run, executions.c.status.in_(_OPEN))
    found = (await connection.execute(query.order_by(executions.c.created_at))).mappings()
    return [run for run in map(as_shown, found) if run.is_delegated]


async def count_by_status(connection: AsyncConnection, queue_id: QueueId) -> Mapping[Status, int]:
    """How many executions of a queue are in each status; a status that none is in is absent."""
    query = sa.select(executions.c.status, sa.func.count()).where(executions.c.worker_queue_id == queue_id)
    rows = await connection.execute(query.group_by(executions.c.status))
    return {Status(status): count for status, count in rows}


async def oldest_open(connection: AsyncConnection) -> datetime | None:
    """When the oldest run that is not over was submitted; None when all are over."""
    query = sa.select(sa.func.min(executions.c.created_at)).where(executions.c.status.in_(_OPEN))
    return (await connection.execute(query)).scalar()


async def delete_over(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Delete at most so many executions that were over by then, with their events; how many there were.

    One whose worker on demand is still there stays until that is gone, too.
    """
    has_worker = sa.exists().where(provisions.c.execution_id == executions.c.id)
    over = sa.select(executions.c.id).where(executions.c.completed_at < before, ~has_worker).limit(limit)
    found = (await connection.execute(over)).scalars().all()
    await connection.execute(sa.delete(executions).where(executions.c.id.in_(found)))
    return len(found)


async def delete(connection: AsyncConnection, execution_id: ExecutionId) -> None:
    """The execution and its events."""
    await connection.execute(sa.delete(executions).where(executions.c.id == execution_id))


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _column(value) for name, value in fields.items()}


def _column(value: Any) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Status() | FailureReason():
            return value.value
        case str():
            return without_nul(value)
        case _:
            return value


def as_shown(row: RowMapping) -> Execution:
    return Execution.model_validate({**row, "execution_id": row["id"], "usage": row["usage"] or {}})


def _run(row: RowMapping) -> StoredRun:
    return StoredRun(
        execution=as_shown(row),
        workspace=Workspace.model_validate(row["workspace"] or {}),
        run_start=RunStart.model_validate(row["run_start"]),
        task_queue_name=row["task_queue_name"],
        members=tuple(map(Member.model_validate, row["members"] or ())),
    )
