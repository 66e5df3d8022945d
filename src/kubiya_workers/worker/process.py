"""The life of a worker process.

    register → open a session → ready → (stop | lost | one execution done) → drain → disconnect → exit

A session that was lost (the control plane gave us up, or did not answer) is closed and a new registration is tried
until it succeeds; the process ends only when it is told to, or when its first start fails.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from kubiya_workers.client import temporal_runtime
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts import pool
from kubiya_workers.contracts.errors import Refusal, Unauthorized
from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.workers import Disconnect, Registered
from kubiya_workers.launchers import heap
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.observability import logs
from kubiya_workers.settings.worker import WorkerSettings

from . import limits
from .handshake import register
from .health import serve_health
from .metrics import Metrics
from .metrics.restarts import of_record
from .session import Session, opened
from .standing import Standing
from .stopping import StopSignals
from .wishes import Wishes

log = logs.get(__name__)

RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 30.0
_SINGLE_POLL_S = 0.2
_LOOK_S = 1.0


class End(Enum):
    """Why a session was closed."""

    STOPPED = "stopped"
    LOST = "lost"
    DONE = "single execution done"


async def run(
    settings: WorkerSettings, *, at_once: Callable[[int], None], on_ready: Callable[[pool.Ready], None]
) -> int:
    """Serve the queue until told to stop. `on_ready` is called each time the server has seen us poll.

    Returns the exit status: 1 when it took a single execution and that did not complete, else 0.

    Raises:
        Refusal: the first registration or connection failed.
        BadSetting: the address for its health is not one of this machine's.
    """
    stop = StopSignals(at_once)
    stop.install()
    metrics, standing = _metrics(settings), Standing(settings, _slots(settings))
    metrics.show(standing.report, restarts=of_record(settings.paths.worker_record(settings.queue)))
    with Guard.start() as guard, contextlib.ExitStack() as stack:
        health = _serve_health(standing, metrics, stack)
        stack.callback(asyncio.create_task(_until_enough(standing, stop), name="enough").cancel)
        wishes = Wishes(settings, stop.request)
        life = _Life(standing, guard, metrics, stop, health, on_ready, wishes)
        registered = await stop.unless(register(settings))
        while registered is not None:
            end, status = await life.serve(registered)
            if end is not End.LOST:
                return status
            registered = await _register_again(settings, stop)
    return 0


def _metrics(settings: WorkerSettings) -> Metrics:
    """Of the process: counts go on across registrations. Temporal's own only where somebody asked for metrics."""
    measured = temporal_runtime.measured() if settings.metrics_port is not None else None
    return Metrics(home=settings.paths.home, sdk_url=measured.url if measured else None)


def _slots(settings: WorkerSettings) -> int:
    fit = limits.fitting(settings.max_activities, memory=settings.memory_limit, cpu=settings.cpu_limit)
    if fit < settings.max_activities:
        log.info("Fewer calls at once than asked for fit into the limits", calls=fit, asked=settings.max_activities)
    return fit


def _serve_health(standing: Standing, metrics: Metrics, stack: contextlib.ExitStack) -> str:
    """Where health is answered; until the stack is unwound."""
    servers = serve_health(standing, metrics)
    for server in servers:
        stack.callback(server.close)
    log.info("Health", url=servers[0].url)
    if standing.metrics_url:
        log.info("Metrics served", url=standing.metrics_url)
    return servers[0].url


async def _until_enough(standing: Standing, stop: StopSignals) -> None:
    """Ask this process to end when it has done enough or its keeper is gone; and say that its loop turns."""
    settings, parent = standing.settings, os.getppid()
    kept = settings.ready_fd >= 0
    while True:
        await asyncio.sleep(_LOOK_S)
        standing.loop_turned()
        if kept and os.getppid() != parent:
            stop.request("what started it is gone")
        elif why := limits.enough(settings, standing.done()):
            stop.request(why)


@dataclass(frozen=True)
class _Life:
    """What outlives a session."""

    standing: Standing
    guard: Guard
    metrics: Metrics
    stop: StopSignals
    health: str
    on_ready: Callable[[pool.Ready], None]
    wishes: Wishes

    async def serve(self, registered: Registered) -> tuple[End, int]:
        """One session, from connecting to the farewell; why it ended, and the exit status that this means."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                opening = stack.enter_async_context(
                    opened(self.standing, registered, self.guard, self.metrics, self.wishes)
                )
                session = await self.stop.unless(opening)
                if session is None:
                    end, status, reason = End.STOPPED, 0, self.stop.reason
                else:
                    self._ready(registered)
                    end, status = await self._until_end(session)
                    reason = self.stop.reason if end is End.STOPPED else session.ended.reason or end.value
        except BaseException as error:
            await _leave(registered, "failed", str(error))
            raise
        await _leave(registered, reason)
        log.info("Disconnected", reason=reason, tasks=self.standing.tally.completed)
        return end, status

    def _ready(self, registered: Registered) -> None:
        said = "Ready" if self.standing.closed is None else "Ready once it is resumed"
        log.info(said, queue=registered.queue_name, worker_id=registered.worker_id)
        self.on_ready(pool.Ready(worker_id=registered.worker_id, health=self.health))
        heap.freeze()

    async def _until_end(self, session: Session) -> tuple[End, int]:
        """Wait for the first reason to close the session."""
        waits: dict[asyncio.Task[int | None], End] = {
            asyncio.create_task(self.stop.wait()): End.STOPPED,
            asyncio.create_task(session.ended.wait()): End.LOST,
        }
        if self.standing.settings.single_execution or session.registered.queue_single_execution:
            waits[asyncio.create_task(_one_execution(session))] = End.DONE
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        first = next(iter(done))
        if waits[first] is End.LOST:
            log.error("Not taking work", reason=session.ended.reason)
        return waits[first], first.result() or 0


async def _one_execution(session: Session) -> int:
    """Return once the execution that this worker worked on is over: 0 when it completed, else 1.

    A member's run is a part of its team's: that one's end counts.
    """
    registered = session.registered
    async with ControlPlaneClient(registered.control_plane_url, registered.worker_token) as client:
        while True:
            await asyncio.sleep(_SINGLE_POLL_S)
            taken = session.steps.tally.last_execution
            if taken is None:
                continue
            with contextlib.suppress(Refusal):
                run = await client.executions.get(taken)
                if run.is_delegated and run.parent_execution_id:
                    run = await client.executions.get(run.parent_execution_id)
                if run.status.is_terminal:
                    return 0 if run.status is Status.COMPLETED else 1


async def _register_again(settings: WorkerSettings, stop: StopSignals) -> Registered | None:
    """A new registration after a lost session; None when told to stop meanwhile."""
    delay = RETRY_FIRST_S
    while not stop.requested:
        try:
            return await stop.unless(register(settings))
        except Unauthorized:
            raise
        except Refusal as error:
            log.warning("Waiting for the control plane", reason=error.detail, retry_in=f"{delay:.0f}s")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)
        delay = min(delay * 2, RETRY_LONGEST_S)
    return None


async def _leave(registered: Registered, reason: str, error: str | None = None) -> None:
    """Say farewell, so that the token is revoked now and not after three missed beats."""
    farewell = Disconnect(reason=reason, error_message=error)
    with contextlib.suppress(Refusal):
        async with ControlPlaneClient(registered.control_plane_url, registered.worker_token) as client:
            await client.workers.disconnect(registered.worker_id, farewell)
