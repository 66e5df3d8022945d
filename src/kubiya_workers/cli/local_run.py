"""`exec --local`: a worker of its own for one run, and nothing left of it afterwards.

    control plane (found, or started) → queue → worker ∥ submit → follow → worker ended, queue deleted → server stopped

The run is durable, so that a worker which dies is simply started again.
"""

import asyncio
import contextlib
import shutil
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.environments import DEFAULT_ENVIRONMENT
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.queues import NewQueue, Queue
from kubiya_workers.launchers import local
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.launchers.spec import LocalWorker, ModelAccess
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths

from . import kept
from .connect import Reached
from .exit import Exit, Failed
from .following import Ended, cancel, follow, submit
from .kept import OfLocalRun
from .render.renderer import Renderer
from .run_request import RunRequest

RESTARTS = 3
_HOPELESS = frozenset({Exit.USAGE, Exit.AUTHENTICATION, Exit.REFUSED, Exit.CONFIGURATION})
"""Exit statuses of a worker that the same start would bring again; they are this command's too."""
_FAREWELL_S = 10.0
_SAME_MOMENT_S = 1.0
_ORPHANED_AFTER_S = 60
"""When the control plane deletes the queue of a command that was killed."""


@dataclass(frozen=True)
class _Stage:
    """Where a run takes place."""

    reached: Reached
    queue: Queue
    guard: Guard
    renderer: Renderer
    request: RunRequest
    kept: OfLocalRun
    models: ModelAccess | None = None

    @property
    def cp(self) -> ControlPlaneClient:
        return self.reached.client

    def worker(self) -> LocalWorker:
        new = self.request.new
        told: dict[v.AnyVariable, str] = {v.MODEL: new.model} if new.model else {}
        if new.skip_model_validation:
            told[v.SKIP_MODEL_VALIDATION] = "true"
        return LocalWorker(
            queue=self.queue.name,
            url=self.reached.url,
            key=self.reached.key,
            cwd=self.request.directory or Path.cwd(),
            single_execution=True,
            # The worker's own setting wins over a run's model: what this run was asked to use must win over both.
            env={variable.name: value for variable, value in told.items()},
            models=self.models,
        )


async def run_here(reached: Reached, request: RunRequest, renderer: Renderer, paths: Paths) -> Ended:
    """Run it on this machine.

    Raises:
        Failed: the worker does not stay alive. Cancelled: the run is cancelled, and everything is cleaned up.
        BadSetting, Unavailable: the LiteLLM beside the worker does not start.
    """
    new = NewQueue(
        name=request.local_queue,
        description="A worker for one run of kubiya exec --local",
        ephemeral=True,
        single_execution_mode=True,
        auto_cleanup_after_seconds=_ORPHANED_AFTER_S,
    )
    queue = await reached.client.queues.create(new, environment=request.environment or DEFAULT_ENVIRONMENT)
    try:
        directory = paths.worker(request.local_queue)
        with Guard.start() as guard, kept.local(directory, renderer, wanted=request.new.keep_on_failure) as run:
            async with _models(paths, request, renderer, guard) as models:
                run.ended = await _on(_Stage(reached, queue, guard, renderer, request, run, models))
                return run.ended
    finally:
        with contextlib.suppress(Refusal):  # it may have gone with its worker
            await reached.client.queues.delete(queue.id, force=True)


@contextlib.asynccontextmanager
async def _models(
    paths: Paths, request: RunRequest, renderer: Renderer, guard: Guard
) -> AsyncGenerator[ModelAccess | None]:
    """The LiteLLM beside the run's worker, where one is wanted; its files go with it."""
    if request.proxy_config is None:
        yield None
        return
    from kubiya_workers.launchers.litellm import beside_worker, install

    try:
        await install.prepare(paths, progress=renderer.status)
        renderer.status("Starting LiteLLM")
        async with beside_worker.running(paths, request.local_queue, request.proxy_config, guard) as access:
            renderer.status("Starting a worker")
            yield access
    finally:
        shutil.rmtree(paths.upkeep(request.local_queue), ignore_errors=True)
        if not request.new.keep_on_failure:
            shutil.rmtree(paths.worker(request.local_queue), ignore_errors=True)


async def _on(stage: _Stage) -> Ended:
    """The worker and the run side by side, until the run is over or no worker can be kept."""
    run = asyncio.create_task(_run(stage), name="run")
    keeper = asyncio.create_task(_keep_worker(stage, run), name="worker")
    try:
        await asyncio.wait({keeper, run}, return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            keeper.result()  # a worker that could not be kept is the reason
            return await _last_words(run)
        return run.result()
    finally:
        await _end(run)
        # A worker of a single execution leaves by itself; it is hurried only when it does not.
        if not keeper.done() and run.done() and not run.cancelled():
            await asyncio.wait({keeper}, timeout=2.0)
        await _end(keeper)


async def _run(stage: _Stage) -> Ended:
    request = stage.request
    # A worker with a gateway of its own asks that one, when it starts.
    skip = request.new.skip_model_validation or request.own_gateway
    new = request.new.model_copy(update={"worker_queue_id": stage.queue.id, "skip_model_validation": skip})
    submitted = await submit(stage.cp, request, new)
    try:
        return await follow(stage.cp, submitted.id, stage.renderer, timeout=stage.request.timeout)
    except asyncio.CancelledError:
        stage.renderer.status("Cancelling the execution")
        await cancel(stage.cp, submitted.id)
        stage.renderer.note(f"Cancelled execution {submitted.id}.")
        raise


async def _last_words(run: asyncio.Task[Ended]) -> Ended:
    """The worker ended well, so that the end of the run is on its way."""
    done, _ = await asyncio.wait({run}, timeout=_FAREWELL_S)
    if not done:
        raise Failed("The worker ended, but the execution did not", fix="Run it again with --verbose.")
    return run.result()


async def _keep_worker(stage: _Stage, run: asyncio.Task[Ended]) -> None:
    """A worker until one ends well, or the run is over.

    Raises:
        Failed: it cannot be started, or died too often; with its last words.
    """
    said: deque[str] = deque(maxlen=3)
    log = _log(stage, said.append)
    restarts = 0
    while status := await _one_worker(stage, log):
        if status in _HOPELESS or restarts == RESTARTS:
            break
        if status == Exit.FAILED and await _is_over(run):
            return
        restarts += 1
        stage.renderer.note(f"The worker {_death(status)}; starting it again: the run goes on where it was.")
    if status == 0:
        return
    words = " / ".join(said)
    why = Exit(status) if status in _HOPELESS else Exit.FAILED
    raise Failed(f"The worker {_death(status)}" + (f": {words}" if words else ""), fix="kubiya doctor", status=why)


async def _is_over(run: asyncio.Task[Ended]) -> bool:
    """Whether the worker's status is that of the run: then the run's end is on its way to us, or here."""
    done, _ = await asyncio.wait({run}, timeout=_SAME_MOMENT_S)
    return bool(done)


async def _one_worker(stage: _Stage, log: Callable[[str], None]) -> int:
    """One worker's exit status, once it has ended."""
    async with local.worker(stage.worker(), log=log, guard=stage.guard) as process:
        return await process.wait()


def _log(stage: _Stage, remember: Callable[[str], None]) -> Callable[[str], None]:
    def log(line: str) -> None:
        remember(line)
        stage.kept.write(line)
        if stage.request.verbose:
            stage.renderer.note(f"worker: {line}")

    return log


def _death(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


async def _end(task: asyncio.Task[None] | asyncio.Task[Ended]) -> None:
    """Cancel a task and wait for it; what it failed with was said, or no longer matters."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Refusal, Failed):
        await task
