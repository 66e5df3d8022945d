"""The life of a worker process.

    register → open a session → ready → (stop | lost | one execution done) → drain → disconnect → exit

A session that was lost (the control plane gave us up, or did not answer) is closed and a new registration is tried
until it succeeds; the process ends only when it is told to, or when its first start fails.
"""

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import Refusal, Unauthorized
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.workers import Disconnect, Registered
from kubiya_workers.launchers import heap
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.observability import logs
from kubiya_workers.settings.worker import WorkerSettings

from .handshake import register
from .session import Session, opened
from .stopping import StopSignals

log = logs.get(__name__)

RETRY_FIRST_S = 1.0
RETRY_LONGEST_S = 30.0
_SINGLE_POLL_S = 0.2


class End(Enum):
    """Why a session was closed."""

    STOPPED = "stopped"
    LOST = "lost"
    DONE = "single execution done"


async def run(settings: WorkerSettings, *, at_once: Callable[[int], None], on_ready: Callable[[], None]) -> None:
    """Serve the queue until told to stop. `on_ready` is called each time the server has seen us poll.

    Raises:
        Refusal: the first registration or connection failed.
    """
    stop = StopSignals(at_once)
    stop.install()
    with Guard.start() as guard:
        registered = await register(settings)
        while True:
            end = await _serve(settings, registered, guard, stop, on_ready)
            if end is not End.LOST:
                return
            again = await _register_again(settings, stop)
            if again is None:
                return
            registered = again


async def _serve(
    settings: WorkerSettings, registered: Registered, guard: Guard, stop: StopSignals, on_ready: Callable[[], None]
) -> End:
    """One session, from connecting to the farewell."""
    try:
        async with opened(settings, registered, guard) as session:
            log.info("Ready", queue=registered.queue_name, worker_id=registered.worker_id)
            on_ready()
            heap.freeze()
            end = await _until_end(settings, session, stop)
    except BaseException as error:
        await _leave(registered, "failed", str(error))
        raise
    reason = stop.reason if end is End.STOPPED else session.ended.reason or end.value
    await _leave(registered, reason)
    log.info("Disconnected", reason=reason, tasks=session.steps.tally.completed)
    return end


async def _until_end(settings: WorkerSettings, session: Session, stop: StopSignals) -> End:
    """Wait for the first reason to close the session."""
    waits: dict[asyncio.Task[None], End] = {
        asyncio.create_task(stop.wait()): End.STOPPED,
        asyncio.create_task(session.ended.wait()): End.LOST,
    }
    if settings.single_execution or session.registered.queue_single_execution:
        waits[asyncio.create_task(_one_execution(session))] = End.DONE
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    end = waits[next(iter(done))]
    if end is End.LOST:
        log.error("Not taking work", reason=session.ended.reason)
    return end


async def _one_execution(session: Session) -> None:
    """Return once the first execution that this worker worked on is over."""
    registered = session.registered
    async with ControlPlaneClient(registered.control_plane_url, registered.worker_token) as client:
        while True:
            await asyncio.sleep(_SINGLE_POLL_S)
            taken = session.steps.tally.last_execution
            if taken is None:
                continue
            with contextlib.suppress(Refusal):
                execution = await client.executions.get(ExecutionId(taken))
                if execution.status.is_terminal:
                    return


async def _register_again(settings: WorkerSettings, stop: StopSignals) -> Registered | None:
    """A new registration after a lost session; None when told to stop meanwhile."""
    delay = RETRY_FIRST_S
    while not stop.requested:
        try:
            return await register(settings)
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
