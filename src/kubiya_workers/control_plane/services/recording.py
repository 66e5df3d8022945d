"""What workers say of runs: appended to the log, with what it changes of the execution in the same transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.errors import Conflict, Forbidden, NotFound
from kubiya_workers.contracts.events import Delta, Fact, MessageAdded, ModelStarted, StatusChanged
from kubiya_workers.contracts.executions import Execution, Status
from kubiya_workers.contracts.ids import ExecutionId, KeyId
from kubiya_workers.contracts.keys import Caller, Scope

from ..events.log import EventLog
from ..store import executions as store
from ..store import usage
from ..store.database import Database
from .usage import Budgets


@dataclass(frozen=True)
class _Known:
    """What `record` must know of an execution for each event; small, so that it is kept in memory."""

    status: Status
    queue_id: str | None
    model: str | None
    key_id: KeyId | None
    is_delegated: bool = False


class Recorder:
    """The events of open runs; one a process. What it keeps in memory is a cache of their rows."""

    def __init__(
        self, database: Database, log: EventLog, budgets: Budgets, *, began: Callable[[ExecutionId], None]
    ) -> None:
        """`began` is told of each member's run that its team's run has started: nobody here did."""
        self._began = began
        self._database = database
        self._log = log
        self._budgets = budgets
        self._known: dict[ExecutionId, _Known] = {}

    def remember(self, execution: Execution) -> None:
        self._known[execution.id] = _known(execution)

    def forget(self, execution_id: ExecutionId) -> None:
        self._known.pop(execution_id, None)

    async def record(self, caller: Caller, execution_id: ExecutionId, events: Sequence[Fact | Delta]) -> Appended:
        """Append what a worker says of a run; its first word makes a pending run a running one.

        Raises:
            NotFound, Forbidden: no such execution, or not of the worker's queue.
            Conflict: a stale attempt, or the run is over.
            BudgetExhausted: a model call begins, and nothing is left of the budget of the key that submitted the run.
        """
        known = self._known.get(execution_id) or await self._learn(execution_id)
        check_queue(caller, known.queue_id)
        if any(isinstance(event, ModelStarted) for event in events):
            await self._budgets.check(known.key_id)
        if known.status is Status.PENDING and not any(isinstance(event, StatusChanged) for event in events):
            begun = StatusChanged(status=Status.RUNNING, previous_status=Status.PENDING)
            return await self._record_change(caller, execution_id, (begun, *events), known)
        if any(_changes(event, known) for event in events):
            return await self._record_change(caller, execution_id, events, known)

        async def also(connection: AsyncConnection) -> None:
            await _count(connection, caller, execution_id, events, known.model)

        used = any(isinstance(event, MessageAdded) and event.usage is not None for event in events)
        return await self._log.append(execution_id, events, also=also if used else None)

    async def _record_change(
        self, caller: Caller, execution_id: ExecutionId, events: Sequence[Fact | Delta], known: _Known
    ) -> Appended:
        """Append events after which the execution itself is another than what is `known`."""
        values: dict[str, Any] = {"updated_at": _now()}
        for event in events:
            if isinstance(event, StatusChanged):
                values |= {"status": event.status, "status_reason": event.reason}
            elif isinstance(event, ModelStarted):
                values["model"] = event.model

        async def also(connection: AsyncConnection) -> None:
            old = await store.lock_status(connection, execution_id)
            if old is None:
                raise NotFound(f"no execution {execution_id}")
            if old.is_terminal:
                raise Conflict(f"execution {execution_id} is {old}")
            begun: dict[str, Any] = {}
            if old is Status.PENDING:
                begun = {"started_at": _now(), "worker_id": caller.worker_id}
            await store.update(connection, execution_id, **values, **begun)
            await _count(connection, caller, execution_id, events, values.get("model", known.model))

        appended = await self._log.append(execution_id, events, also=also)
        if known.is_delegated and known.status is Status.PENDING:
            self._began(execution_id)
        if execution_id in self._known:
            changed = {name: values[name] for name in ("status", "model") if name in values}
            self._known[execution_id] = replace(known, **changed)
        return appended

    async def _learn(self, execution_id: ExecutionId) -> _Known:
        async with self._database.reading() as connection:
            execution = await store.get(connection, execution_id)
        if execution is None:
            raise NotFound(f"no execution {execution_id}", fix="List them with: kubiya execution list")
        if execution.status.is_terminal:
            raise Conflict(f"execution {execution_id} is {execution.status}")
        self.remember(execution)
        return self._known[execution_id]


def check_queue(caller: Caller, queue_id: str | None) -> None:
    if caller.scope is Scope.WORKER and caller.queue_id != queue_id:
        raise Forbidden("this worker serves another queue than the execution's")


def _known(execution: Execution) -> _Known:
    run = execution
    return _Known(run.status, run.worker_queue_id, run.model, run.key_id, run.is_delegated)


def _changes(event: Fact | Delta, known: _Known) -> bool:
    """Whether the execution's own row is another one after it: a status, a worker's own choice of a model."""
    match event:
        case StatusChanged():
            return True
        case ModelStarted():
            return event.model != known.model
        case _:
            return False


async def _count(
    connection: AsyncConnection,
    caller: Caller,
    execution_id: ExecutionId,
    events: Sequence[Fact | Delta],
    model: str | None,
) -> None:
    """What the model calls used that end with these events."""
    for event in events:
        if isinstance(event, MessageAdded) and event.usage is not None:
            await usage.add_step(
                connection,
                execution_id,
                event.step,
                model=model or event.model or "unknown",
                used=event.usage,
                worker_id=caller.worker_id,
                now=_now(),
            )


def _now() -> datetime:
    return datetime.now(UTC)
