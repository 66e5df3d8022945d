"""Executions: submitted, steered and closed; `stored.py` beside it reads them, `recording.py` takes what their workers
say.

    pending → running ⇄ waiting_for_input | paused → completed | failed | cancelled

A status row and the fact that tells of it are written in one transaction, through the event log: here and in
`recording.py`, nowhere else. What is stored is the intent; what runs is Temporal's: `open_runs` gives the reconciler
what has to be compared.
"""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts import activities as names
from kubiya_workers.contracts.activities import ApprovalSignal
from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from kubiya_workers.contracts.events import (
    MessageAdded,
    StatusChanged,
)
from kubiya_workers.contracts.executions import (
    ApprovalAnswer,
    Execution,
    ExecutionPatch,
    FailureReason,
    NewExecution,
    RunOutcome,
    RunStart,
    Status,
    Submitted,
    advance,
)
from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.ids import ExecutionId, JobId, KeyId, new_id, workflow_id

from ..events.log import EventLog
from ..store import executions as store
from ..store.database import Database
from .closing import closing_events, closing_values, without_secrets
from .recording import Recorder
from .runs import InTransaction, Plan
from .secrecy import refuse_secrets
from .stored import Insight, StoredExecutions
from .usage import Budgets

MAX_PROMPT = 1_000_000
"""Characters: a prompt beyond this is a file, and belongs in the working directory."""
CANCEL_GRACE_S = 10.0
"""How long a worker may take to end what a cancelled run does."""


class Engine(Insight, Protocol):
    """What this room needs of a workflow engine. Every call may raise `Unavailable`."""

    async def start(self, run: RunStart, task_queue: str) -> None: ...
    async def signal(self, execution_id: ExecutionId, name: str, arg: object = None) -> None: ...
    async def cancel(self, execution_id: ExecutionId) -> None: ...
    async def terminate(self, execution_id: ExecutionId, reason: str) -> None: ...
    async def outcome(self, execution_id: ExecutionId) -> RunOutcome: ...
    async def health(self) -> Check: ...


class Watcher(Protocol):
    """Told of each run that began, to close it as soon as it ends."""

    def watch(self, execution_id: ExecutionId) -> None: ...


class Counts(Protocol):
    """Who is told of executions that begin and end."""

    def execution_submitted(self) -> None: ...
    def execution_ended(self, status: Status) -> None: ...


class Executions(StoredExecutions):
    """The service; one a process. Holds no truth of its own."""

    def __init__(self, database: Database, log: EventLog, engine: Engine, counts: Counts | None = None) -> None:
        super().__init__(database, log, engine)
        self._engine: Engine = engine
        self._budgets = Budgets(database)
        self._counts = counts
        self._recorder = Recorder(database, log, self._budgets, began=self._began)
        self.record = self._recorder.record
        self._ending: set[asyncio.Task[None]] = set()
        self.watcher: Watcher | None = None
        self.on_end: list[Callable[[], None]] = []
        """Told of each run that this process closed."""
        self.on_demand: Callable[[], None] | None = None
        """Told of each run that needs a worker of its own."""

    # --- submit

    async def submit(
        self,
        plan: Plan,
        new: NewExecution,
        *,
        key_id: KeyId | None = None,
        identity: str | None = None,
        job_id: JobId | None = None,
    ) -> Submitted:
        """Store the execution, then start its workflow. `identity` names a submit that may be sent again.

        A workflow that cannot be started now is started by the reconciler: the execution is stored and pending.

        Raises:
            Invalid: the prompt is blank or too long, or holds a secret.
            BudgetExhausted: nothing is left of the budget of the key that submits it.
            Taken: the worker that waited for it has another execution now: plan it anew.
        """
        check_prompt(new.prompt)
        execution_id = named(identity) if identity else ExecutionId(new_id())
        existing = await self.find(execution_id) if identity else None
        if existing is not None:
            return _submitted(existing, "already submitted")
        has_budget = await self.has_budget(key_id)
        execution = plan.execution(execution_id, new, key_id, _now(), job_id)
        said = {
            "the prompt": new.prompt,
            "the agent": plan.agent.model_dump_json(),
            "the metadata": json.dumps(execution.execution_metadata),
        }
        said |= {f"the agent {member.name}": member.agent.model_dump_json() for member in plan.members}
        for workspace in (plan.workspace, *(member.workspace for member in plan.members)):
            refuse_secrets(workspace, said)
        run = RunStart(
            execution_id=execution_id,
            agent=plan.agent,
            prompt=new.prompt,
            priority=new.priority,
            interactive=plan.interactive,
            has_secrets=bool(plan.workspace.secrets),
            has_budget=has_budget,
        )
        stored = store.StoredRun(execution, plan.workspace, run, plan.task_queue, plan.members)
        try:
            await self.insert(stored, plan.settle_demand(execution_id))
        except Conflict:
            existing = await self.find(execution_id) if identity else None
            if existing is None:
                raise
            return _submitted(existing, "already submitted")  # at the same moment
        if plan.demand is not None and self.on_demand is not None:
            self.on_demand()
        return _submitted(execution, await self._start(run, plan.task_queue))

    async def has_budget(self, key_id: KeyId | None) -> bool:
        """Whether this key has a budget. Raises `BudgetExhausted` when nothing is left of it."""
        return await self._budgets.check(key_id)

    async def insert(self, run: store.StoredRun, then: InTransaction | None = None) -> None:
        """Store a run that somebody starts then; `then` belongs to the same transaction.

        Raises:
            Conflict: it is stored already.
        """
        execution = run.execution

        async def also(connection: AsyncConnection) -> None:
            await store.insert(connection, run)
            if then is not None:
                await then(connection)

        opening = (
            StatusChanged(status=Status.PENDING, reason=execution.status_reason),
            MessageAdded(role="user", content=execution.prompt, message_id=f"prompt-{execution.id}"),
        )
        await self._log.append(execution.id, opening, also=also, is_new=True)
        self._recorder.remember(execution)
        if self._counts is not None:
            self._counts.execution_submitted()

    async def _start(self, run: RunStart, task_queue: str) -> str:
        try:
            await self._engine.start(run, task_queue)
        except Unavailable as error:
            return f"stored; it starts when Temporal answers ({error.detail})"
        self._began(run.execution_id)
        return "submitted"

    async def start_stored(self, run: store.StoredRun) -> None:
        """Start the workflow of a stored execution; it does nothing to one that was started already."""
        await self._engine.start(run.run_start, run.task_queue_name)

    # --- steer

    async def cancel(self, execution_id: ExecutionId) -> Execution:
        """Ask the run to stop; where no worker is there to hear it, end it.

        Cancelling a cancelled run is fine.

        Raises:
            Conflict: the run has completed or failed.
        """
        run = await self.stored(execution_id)
        if run.execution.status is Status.CANCELLED:
            return run.execution
        _check_open(run.execution)
        if await self._engine.pollers(run.task_queue_name) == 0:
            await self.terminate(execution_id, "cancelled; no worker was there")
        else:
            await self._ended_is_fine(self._engine.cancel(execution_id))
            self._end_soon(execution_id)
        return await self.get(execution_id)

    def _end_soon(self, execution_id: ExecutionId) -> None:
        """Temporal lists a dead worker as polling for a while: a cancel that nobody heard must end the run too."""
        task = asyncio.create_task(self._end_unless_heard(execution_id), name=f"cancel-{execution_id}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_unless_heard(self, execution_id: ExecutionId) -> None:
        await asyncio.sleep(CANCEL_GRACE_S)
        with contextlib.suppress(Refusal):  # It is over, or the sweep closes it.
            await self.terminate(execution_id, "cancelled; its worker did not answer")

    async def terminate(self, execution_id: ExecutionId, reason: str = "terminated by a person") -> Execution:
        """End the run at once, whatever its worker does."""
        execution = await self.get(execution_id)
        _check_open(execution)
        await self._ended_is_fine(self._engine.terminate(execution_id, reason))
        await self.close(execution_id, RunOutcome(status=Status.CANCELLED, error=reason))
        return await self.get(execution_id)

    async def fail(self, execution_id: ExecutionId, reason: FailureReason, error: str) -> None:
        """Close a run that cannot go on; one that is over stays as it is."""
        await self.close(execution_id, RunOutcome(status=Status.FAILED, failure_reason=reason, error=error))
        await self._ended_is_fine(self._engine.terminate(execution_id, error))

    async def say_waiting(self, execution_id: ExecutionId, reason: str) -> None:
        """Tell what a run waits for that nobody has begun; said once, however often it is told."""

        async def also(connection: AsyncConnection) -> None:
            run = await store.get(connection, execution_id)
            status = await store.lock_status(connection, execution_id)
            if status is not Status.PENDING or run is None or run.status_reason == reason:
                raise _NoNews(f"execution {execution_id} is {status}")
            await store.update(connection, execution_id, status_reason=reason, updated_at=_now())

        with contextlib.suppress(_NoNews):
            await self._log.append(execution_id, (StatusChanged(status=Status.PENDING, reason=reason),), also=also)

    async def message(self, execution_id: ExecutionId, text: str) -> Execution:
        for workspace in (await self.stored(execution_id)).workspaces:
            refuse_secrets(workspace, {"the message": text})
        execution = await self._signal(execution_id, names.SIGNAL_MESSAGE, text)
        said = MessageAdded(role="user", content=text, message_id=f"user-{new_id()}")
        await self._log.append(execution_id, (said,))
        return execution

    async def pause(self, execution_id: ExecutionId) -> Execution:
        return await self._signal(execution_id, names.SIGNAL_PAUSE)

    async def resume(self, execution_id: ExecutionId) -> Execution:
        return await self._signal(execution_id, names.SIGNAL_RESUME)

    async def mark_done(self, execution_id: ExecutionId) -> Execution:
        return await self._signal(execution_id, names.SIGNAL_MARK_DONE)

    async def answer(self, execution_id: ExecutionId, approval_id: str, answer: ApprovalAnswer) -> Execution:
        """A person's word on a tool call; the first one counts."""
        refuse_secrets((await self.stored(execution_id)).workspace, {"the reason": answer.reason or ""})
        signal = ApprovalSignal(approval_id=approval_id, decision=answer.decision, by=answer.by, reason=answer.reason)
        return await self._signal(execution_id, names.SIGNAL_APPROVAL, signal)

    async def patch(self, execution_id: ExecutionId, patch: ExecutionPatch) -> Execution:
        execution = await self.get(execution_id)
        merged = {**execution.execution_metadata, **patch.execution_metadata}
        kept = {name: value for name, value in merged.items() if value is not None}
        async with self._database.writing() as connection:
            await store.update(connection, execution_id, execution_metadata=kept)
        return await self.get(execution_id)

    async def delete(self, execution_id: ExecutionId) -> None:
        execution = await self.get(execution_id)
        if not execution.status.is_terminal:
            raise Conflict(
                f"execution {execution_id} is {execution.status}", fix=f"kubiya execution cancel {execution_id}"
            )
        async with self._database.writing() as connection:
            await store.delete(connection, execution_id)

    # --- close

    async def close(self, execution_id: ExecutionId, outcome: RunOutcome) -> None:
        """Write the end of a run: status, error, `done`. A run that is closed already stays as it is."""
        now, is_team = _now(), False

        async def also(connection: AsyncConnection) -> None:
            nonlocal is_team
            found = await store.lock_open(connection, execution_id)
            if found is None:
                raise _AlreadyClosed(f"execution {execution_id} is over")
            is_team = found.is_team
            advance(found.status, outcome.status)
            values = closing_values(outcome, now)
            if found.workspace.secrets:
                values["workspace"] = without_secrets(found.workspace)
            if is_team:
                values["members"] = None
            await store.update(connection, execution_id, **values)

        try:
            await self._log.append(execution_id, closing_events(execution_id, outcome), also=also)
        except _AlreadyClosed:
            return
        finally:
            self._recorder.forget(execution_id)
        if self._counts is not None:
            self._counts.execution_ended(outcome.status)
        for tell in self.on_end:
            tell()
        if is_team:
            await self._see_off_members(execution_id)

    async def _see_off_members(self, execution_id: ExecutionId) -> None:
        """Temporal ends what a run leaves open of its members' runs: hear of it, and close those that never began."""
        async with self._database.reading() as connection:
            left = await store.open_members(connection, execution_id)
        for member in left:
            self._began(member.id)

    def _began(self, execution_id: ExecutionId) -> None:
        if self.watcher is not None:
            self.watcher.watch(execution_id)

    # --- inside

    async def _signal(self, execution_id: ExecutionId, name: str, arg: object = None) -> Execution:
        execution = await self.get(execution_id)
        _check_open(execution)
        try:
            await self._engine.signal(execution_id, name, arg)
        except NotFound:
            raise Conflict(f"execution {execution_id} is not running any more") from None
        return execution

    async def _ended_is_fine(self, request: Any) -> None:
        """A run that ended, or never reached Temporal, needs no stopping."""
        try:
            await request
        except NotFound:
            return


class _NoNews(Refusal):
    """Nothing has to be told."""


class _AlreadyClosed(Refusal):
    """Somebody else wrote the end first."""


def named(identity: str) -> ExecutionId:
    """The execution of a submit that may be made again."""
    return ExecutionId(str(uuid.uuid5(uuid.NAMESPACE_URL, identity)))


def _now() -> datetime:
    return datetime.now(UTC)


def check_prompt(prompt: str) -> None:
    """Raises `Invalid` for one that is blank or too long."""
    if not prompt.strip():
        raise Invalid("the prompt is empty", fix="Say what to do: kubiya exec 'Run `uname -a`'")
    if len(prompt) > MAX_PROMPT:
        raise Invalid(
            f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT} are taken",
            fix="Put the text into a file in the working directory and name it in the prompt.",
        )


def _check_open(execution: Execution) -> None:
    if execution.status.is_terminal:
        raise Conflict(f"execution {execution.id} is {execution.status} already")


def _submitted(execution: Execution, message: str) -> Submitted:
    return Submitted(
        id=execution.id,
        execution_id=execution.id,
        workflow_id=workflow_id(execution.id),
        status=execution.status,
        message=message,
    )
