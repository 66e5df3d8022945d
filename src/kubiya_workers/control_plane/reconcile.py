"""Temporal has the last word: every open execution is compared with it until it is closed.

`watch` waits for the end of one run, so that its readers hear of it at once. `sweep` covers what no watch of this
process covers: runs that another control plane started, runs that ended while none was up, and executions that were
stored but never reached Temporal. It also marks workers that went silent and removes queues whose time is over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from kubiya_workers.contracts.errors import NotFound, Refusal, Unavailable
from kubiya_workers.contracts.executions import FailureReason, RunOutcome, Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.observability import logs

from .auth import Auth
from .clock import WatchedClock
from .services import queues, workers
from .services.executions import Engine, Executions
from .store.database import Database
from .store.executions import StoredRun

SWEEP_INTERVAL_S = 10.0
RETRY_S = 1.0

log = logs.get(__name__)


class Reconciler:
    """One a process. Several control planes may watch the same run: the second close finds it closed."""

    def __init__(
        self,
        database: Database,
        executions: Executions,
        engine: Engine,
        auth: Auth,
        also: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`also` is done at each sweep: what else this process brings in line with the database."""
        self._database = database
        self._auth = auth
        self._executions = executions
        self._engine = engine
        self._watches: dict[ExecutionId, asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._also = also
        self._clock = WatchedClock()

    async def start(self) -> None:
        self._executions.watcher = self
        self._sweeper = asyncio.create_task(self._sweep_for_ever(), name="reconcile-sweep")

    async def close(self) -> None:
        tasks = [*self._watches.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def watch(self, execution_id: ExecutionId) -> None:
        if execution_id in self._watches:
            return
        task = asyncio.create_task(self._close_at_end(execution_id), name=f"watch-{execution_id}")
        self._watches[execution_id] = task
        task.add_done_callback(lambda _: self._watches.pop(execution_id, None))

    async def _close_at_end(self, execution_id: ExecutionId) -> None:
        begun = False
        while True:
            try:
                outcome = await self._engine.outcome(execution_id)
                await self._executions.close(execution_id, outcome)
                return
            except NotFound:
                # A member's run may have begun between this answer and now: only what is still missing then is gone.
                if begun or not (begun := await self._has_begun(execution_id)):
                    await self._close_if_gone(execution_id)
                    return
            except Unavailable:
                await asyncio.sleep(RETRY_S)

    async def _close_if_gone(self, execution_id: ExecutionId) -> None:
        """A pending run never reached Temporal, and the sweep starts it, or its team's run, while that one is open;
        any other one was there and is lost."""
        execution = await self._executions.get(execution_id)
        if execution.status is Status.PENDING:
            if execution.is_delegated and await self._is_over(execution.parent_execution_id):
                never = RunOutcome(status=Status.CANCELLED, error="its team's run ended before this one began")
                await self._executions.close(execution_id, never)
            return
        lost = RunOutcome(
            status=Status.FAILED,
            failure_reason=FailureReason.INTERNAL,
            error="Temporal does not know this run any more: its history was deleted or has expired",
        )
        await self._executions.close(execution_id, lost)

    async def _has_begun(self, execution_id: ExecutionId) -> bool:
        return (await self._executions.get(execution_id)).status is not Status.PENDING

    async def _is_over(self, execution_id: ExecutionId | None) -> bool:
        found = None if execution_id is None else await self._executions.find(execution_id)
        return found is None or found.status.is_terminal

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except Refusal as error:
                log.warning("Reconciling waits", reason=error.detail)
            except Exception as error:  # the edge of this task: a defect may cost one sweep, never all of them
                log.error("Reconciling failed", error)
            await asyncio.sleep(SWEEP_INTERVAL_S)

    async def sweep(self) -> None:
        """One comparison of everything that is open."""
        for run in await self._executions.open_runs():
            await self._reconcile(run)
        now = datetime.now(UTC)
        steady = self._clock.steady_for(now, time.monotonic())
        for worker_id in await workers.mark_lost(self._database, now, auth=self._auth, steady=steady):
            log.warning("Worker lost", worker_id=worker_id, reason="3 heartbeats missed")
        await queues.clean_up(self._database, now)
        if self._also is not None:
            await self._also()

    async def _reconcile(self, run: StoredRun) -> None:
        if run.execution.id in self._watches:
            return
        if run.execution.status is Status.PENDING and not run.execution.is_delegated:
            # Idempotent: it is started only if Temporal never heard of it.
            await self._executions.start_stored(run)
        self.watch(run.execution.id)
