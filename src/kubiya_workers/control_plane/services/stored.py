"""Executions as they are stored, and what Temporal knows of those that are not over."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from kubiya_workers.contracts.console import Minute
from kubiya_workers.contracts.errors import Invalid, NotFound, Unavailable
from kubiya_workers.contracts.events import MessageAdded
from kubiya_workers.contracts.executions import SORTS, Execution, Session, SessionMessage
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.tools import Workspace

from ..events.log import EventLog
from ..store import executions as store
from ..store import queues, workers
from ..store.database import Database
from ..store.executions import Filter
from . import provisions, waiting
from .recording import check_queue
from .waiting import Hands, Progress

GONE_LOOKED_AT = 20
"""So many of a queue's former workers are asked for what became of them when nobody takes an execution."""


class Insight(Protocol):
    """What is asked of a workflow engine here. Every call may raise `Unavailable`."""

    async def describe(self, execution_id: ExecutionId) -> Progress: ...
    async def pollers(self, task_queue: str) -> int: ...


class StoredExecutions:
    """Reads; nothing here changes an execution."""

    def __init__(self, database: Database, log: EventLog, engine: Insight) -> None:
        self._database = database
        self._log = log
        self._engine = engine

    async def find(self, execution_id: ExecutionId) -> Execution | None:
        async with self._database.reading() as connection:
            return await store.get(connection, execution_id)

    async def get(self, execution_id: ExecutionId) -> Execution:
        found = await self.find(execution_id)
        if found is None:
            raise NotFound(f"no execution {execution_id}", fix="List them with: kubiya execution list")
        return found

    async def stored(self, execution_id: ExecutionId) -> store.StoredRun:
        """With what is never shown. Raises `NotFound`."""
        async with self._database.reading() as connection:
            run = await store.get_run(connection, execution_id)
        if run is None:
            raise NotFound(f"no execution {execution_id}", fix="List them with: kubiya execution list")
        return run

    async def look(self, execution_id: ExecutionId) -> Execution:
        """The execution with its priority, and what it waits for now where it is not over."""
        run = await self.stored(execution_id)
        execution = run.execution.model_copy(update={"priority": run.run_start.priority})
        if execution.status.is_terminal:
            return execution
        try:
            progress = await self._engine.describe(execution_id)
            pollers = await self._engine.pollers(run.task_queue_name)
        except Unavailable as error:
            return execution.model_copy(update={"status_reason": f"Temporal: {error.detail}"})
        hands = await self._hands(execution, pollers)
        said = waiting.reason(execution.status, execution.status_reason, progress, hands, datetime.now(UTC))
        if said is None and execution.execution_type == "team":
            said = await self._members_wait(execution_id)
        return execution.model_copy(update={"status_reason": said})

    async def _members_wait(self, execution_id: ExecutionId) -> str | None:
        """What the members of a team's run wait for; None while they work."""
        async with self._database.reading() as connection:
            members = await store.open_members(connection, execution_id)
        return waiting.of_members([await self.look(member.id) for member in members])

    async def session(self, execution_id: ExecutionId) -> Session:
        """The run as a conversation; a message that is still streamed is not in it yet."""
        execution = await self.get(execution_id)
        messages: list[SessionMessage] = []
        after = 0
        while rows := await self._log.read(execution_id, after):
            after = rows[-1].seq
            messages += [_session_message(row.event) for row in rows if isinstance(row.event, MessageAdded)]
        return Session(execution_id=execution_id, status=execution.status, messages=tuple(messages))

    async def list(self, wanted: Filter, *, sort: str, skip: int, limit: int) -> tuple[Sequence[Execution], int]:
        """A page of those that are meant, and how many there are in all. `sort` is a column, descending after a `-`.

        Raises:
            Invalid: there is no sorting by that.
        """
        column = sort.removeprefix("-")
        if column not in SORTS:
            raise Invalid(f"executions are not sorted by {column!r}; by one of: {', '.join(SORTS)}")
        down = sort.startswith("-")
        async with self._database.reading() as connection:
            found = await store.list_(connection, wanted, sort=column, descending=down, skip=skip, limit=limit)
            whole = skip == 0 and len(found) < limit
            return found, len(found) if whole else await store.count(connection, wanted)

    async def activity(self, minutes: int, now: datetime) -> Sequence[Minute]:
        """What happened in each of the last minutes, the present one last."""
        last = now.replace(second=0, microsecond=0)
        moments = [last - timedelta(minutes=ago) for ago in reversed(range(minutes))]
        async with self._database.reading() as connection:
            counted = await store.activity(connection, moments[0])
        return [Minute(at=moment, **counted.get(moment, {})) for moment in moments]

    async def open_runs(self) -> Sequence[store.StoredRun]:
        async with self._database.reading() as connection:
            return await store.list_open(connection)

    async def workspace(self, caller: Caller, execution_id: ExecutionId) -> Workspace:
        """Where and with what the tools of an execution run: only for the workers of its queue.

        Raises:
            Forbidden: a worker of another queue asks.
        """
        run = await self.stored(execution_id)
        check_queue(caller, run.execution.worker_queue_id)
        return run.workspace

    async def _hands(self, execution: Execution, pollers: int) -> Hands:
        async with self._database.reading() as connection:
            queue = await queues.find(connection, execution.worker_queue_id or "")
            if queue is None:
                return Hands("that was deleted", pollers)
            live = await workers.list_(connection, queue_id=queue.id, live=True)
            gone = await workers.list_(connection, queue_id=queue.id, live=False, limit=GONE_LOOKED_AT)
            on_demand = await provisions.told(connection, execution)
        return Hands(queue.name, pollers, (*live, *gone), on_demand)


def _session_message(event: MessageAdded) -> SessionMessage:
    return SessionMessage(
        role=event.role,
        content=event.content,
        message_id=event.message_id,
        timestamp=event.timestamp,
        tool_calls=event.tool_calls,
    )
