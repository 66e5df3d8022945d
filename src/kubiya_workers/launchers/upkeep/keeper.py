"""The keeper of one queue's worker: starts it, hears it, watches it, starts it again, and says how it is.

starting → running → (it ends) → restarting → starting …     running → stopping → stopped
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import time
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import kubiya_workers
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.pool import (
    CrashReport,
    Mode,
    ProcessRef,
    Ready,
    Record,
    Restart,
    StartedWith,
    UpkeepState,
)
from kubiya_workers.observability import logs
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting, Source

from .. import environment, probe, script
from ..guard import Guard, start_time
from ..spec import LocalWorker
from ..worker_process import DRAIN_S, WorkerProcess, spawn
from . import records
from .output import Output
from .restarts import HEALTHY_S, Again, Ended, Over, after
from .rotation import LogLimits

log = logs.get(__name__)


@dataclass(frozen=True)
class Timing:
    """Seconds; `patience` is how much of each wait between restarts is kept, for tests."""

    look: float = 5.0
    """How often its health is asked for; it is unfit after three bad answers in a row."""
    start: float = 120.0
    """Within which it must poll."""
    drain: float = DRAIN_S
    patience: float = 1.0


UNFIT_AFTER = 3
_NOT_STARTED = 126
_REPORT_WITHIN_S = 10.0


class Keeper:
    """Keeps a worker between `keep` and its return."""

    def __init__(
        self,
        paths: Paths,
        spec: LocalWorker,
        mode: Mode,
        output: Output,
        *,
        timing: Timing | None = None,
    ) -> None:
        self._paths = paths
        self._spec = spec
        self._output = output
        self._timing = timing or Timing()
        self.status = 0
        """The exit status of the last worker, negative for a signal."""
        self._stop = asyncio.Event()
        self._another = asyncio.Event()
        self._settled = asyncio.Event()
        self._reports: set[asyncio.Task[None]] = set()
        self._ready_since: float | None = None
        self._ever_ready = False
        self._unfit: str | None = None
        now = datetime.now(UTC)
        self.record = Record(
            queue=spec.queue,
            mode=mode,
            state=UpkeepState.STARTING,
            supervisor=_ourselves(),
            version=kubiya_workers.__version__,
            control_plane_url=spec.url,
            log=str(output.file.path),
            started_with=_started_with(spec, output.file.limits),
            started_at=now,
            updated_at=now,
        )

    async def keep(self) -> int:
        """A worker until it is to be none any more; the exit status of the last one, negative for a signal."""
        with Guard.start() as guard:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    wanted = await self._unless_stopped(stack.enter_async_context(self._models(guard)))
                    step = await self._lives(guard) if wanted else Over(UpkeepState.STOPPED, "it was told to end")
            except (Refusal, BadSetting) as error:
                step, self.status = Over(UpkeepState.FAILED, _reason(error)), _status(error)
        self._over(step)
        await self._end_reports()
        return self.status

    @contextlib.asynccontextmanager
    async def _models(self, guard: Guard) -> AsyncGenerator[None]:
        """The LiteLLM beside the worker, where one is wanted."""
        spec = self._spec
        if spec.proxy_config is None:
            yield
            return
        from ..litellm import beside_worker  # most workers have none

        self._say(reason="LiteLLM starts")
        async with beside_worker.running(self._paths, spec.queue, spec.proxy_config, guard) as access:
            self._spec = replace(spec, models=access)
            yield

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> bool:
        """Whether `work` was done; when we are told to stop before, it is cancelled."""
        task, stops = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stops}, return_when=asyncio.FIRST_COMPLETED)
        stops.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return False
        task.result()
        return True

    async def _lives(self, guard: Guard) -> Over:
        """One worker after the other, until none is to follow."""
        while isinstance(step := await self._next(guard), Again):
            await self._before_next(step)
            if self._stop.is_set():
                return Over(UpkeepState.STOPPED, "it was told to end")
        return step

    async def _next(self, guard: Guard) -> Over | Again:
        """One worker's life, and what follows it."""
        ended = await self._one_life(guard)
        self.status = ended.status
        crashes, once = self.record.crashes_in_a_row, self._spec.single_execution
        step = after(ended, crashes, self.record.mode, random.random(), once=once)
        meant = step.state is UpkeepState.STOPPED if isinstance(step, Over) else step.asked
        if self._ever_ready and not meant:
            self._tell_of_crash(step)
        return step

    def stop(self) -> None:
        """Drain the worker, and start no other."""
        self._stop.set()

    def restart(self) -> None:
        """Drain the worker, and start another in its place: with the same flags, and the settings as they are then."""
        self._another.set()

    async def settled(self) -> Record:
        """The record once the worker has polled for the first time, or it is clear that none will."""
        await self._settled.wait()
        return self.record

    async def _one_life(self, guard: Guard) -> Ended:
        self._ready_since, self._unfit = None, None
        self._another.clear()
        self._say(state=UpkeepState.STARTING, reason=None)
        try:
            process = await self._spawn()
        except (OSError, BadSetting) as error:
            return Ended(_NOT_STARTED, 0.0, self._ever_ready, last_words=str(error))
        guard.adopt(process.pid, grace=self._timing.drain)
        self._say(worker=process.ref, worker_started_at=datetime.now(UTC))
        beside = [asyncio.create_task(self._hear(process)), asyncio.create_task(self._watch(process))]
        try:
            told = await self._until_told(process)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            status = await process.stop(self._timing.drain)
            guard.release(process.pid)
        return self._ended(status, process, told)

    async def _spawn(self) -> WorkerProcess:
        spec, program = self._spec, script.written(self._paths, self._spec.queue)
        if spec.python is not None and not spec.python.exists():
            # Deleted while it ran, as people do to have it made anew.
            await environment.prepare(self._paths, spec.queue, progress=lambda line: log.info("Environment", step=line))
        return await spawn((str(program),), spec, self._output.write)

    async def _until_told(self, process: WorkerProcess) -> bool:
        """Return when it has ended, or is to end: whether somebody wanted that."""
        ends = asyncio.create_task(process.wait())
        wishes = [asyncio.create_task(event.wait()) for event in (self._stop, self._another)]
        await asyncio.wait({ends, *wishes}, return_when=asyncio.FIRST_COMPLETED)
        for task in (ends, *wishes):
            task.cancel()
        if self._stop.is_set():
            self._say(state=UpkeepState.STOPPING, reason="it drains")
        elif self._another.is_set():
            self._say(state=UpkeepState.RESTARTING, reason="it was asked to; it drains")
        return self._stop.is_set()

    def _ended(self, status: int, process: WorkerProcess, told: bool) -> Ended:
        healthy = time.monotonic() - self._ready_since if self._ready_since is not None else 0.0
        asked = self._another.is_set()
        return Ended(status, healthy, self._ever_ready, told, asked, self._unfit, process.last_words)

    async def _hear(self, process: WorkerProcess) -> None:
        async for ready in process.readies():
            self._is_ready(ready)

    def _is_ready(self, ready: Ready) -> None:
        self._ready_since = self._ready_since or time.monotonic()
        self._ever_ready = True
        self._say(state=UpkeepState.RUNNING, reason=None, worker_id=ready.worker_id, health=ready.health)
        self._settled.set()

    async def _watch(self, process: WorkerProcess) -> None:
        """Ask it how it is, and end it when it is not fit to go on; keep record and log current."""
        began, bad = time.monotonic(), 0
        while True:
            await asyncio.sleep(self._timing.look)
            self._output.file.flush()
            self._forget_crashes()
            self._say()
            problem = await self._problem(time.monotonic() - began)
            bad = bad + 1 if problem else 0
            if bad >= UNFIT_AFTER:
                self._unfit = problem
                log.error("Worker is not fit to go on: it is drained and started again", reason=problem)
                self._say(state=UpkeepState.RESTARTING, reason=problem)
                await process.stop(self._timing.drain)

    async def _problem(self, age: float) -> str | None:
        if self._ready_since is None:
            return f"it did not poll within {self._timing.start:.0f} s" if age > self._timing.start else None
        if self.record.health is None:
            return None
        answered = await probe.answer(self.record.health, "/livez")
        return None if answered is not None and answered[0] == 200 else _words(answered)

    def _forget_crashes(self) -> None:
        if self._ready_since is not None and time.monotonic() - self._ready_since >= HEALTHY_S:
            self.record = self.record.model_copy(update={"crashes_in_a_row": 0})

    async def _before_next(self, step: Again) -> None:
        """Say that it is to be started again, and wait until then, or until we are told to end."""
        wait = step.wait * self._timing.patience
        now = datetime.now(UTC)
        say = log.info if step.asked else log.warning
        say("Worker is started again", reason=step.reason, restart_in=f"{wait:.1f}s", crashes=step.crashes)
        if step.looping:
            log.error("Worker is crash-looping", crashes=step.crashes, reason=step.reason)
        self._say(
            state=UpkeepState.CRASH_LOOPING if step.looping else UpkeepState.RESTARTING,
            reason=step.reason,
            worker=None,
            worker_id=None,
            health=None,
            restarts=self.record.restarts + 1,
            crashes_in_a_row=step.crashes,
            last_restart=Restart(at=now, reason=step.reason, status=self.status, crash=step.crash),
            next_start_at=now + timedelta(seconds=wait),
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), wait)
        self._say(next_start_at=None)

    def _over(self, step: Over) -> None:
        say = log.info if step.state is UpkeepState.STOPPED else log.error
        say("Worker is over", reason=step.reason)
        self._say(state=step.state, reason=step.reason, worker=None, health=None, next_start_at=None)
        self._settled.set()

    def _say(self, **changes: object) -> None:
        self.record = self.record.model_copy(update={**changes, "updated_at": datetime.now(UTC)})
        try:
            records.write(self._paths, self.record)
        except OSError as error:
            log.error("Record of this worker cannot be written", reason=error.strerror)

    def _tell_of_crash(self, step: Over | Again) -> None:
        """So that nobody waits for heartbeats that will not come."""
        report = CrashReport(
            hostname=Source.of_process().get(v.WORKER_HOSTNAME) or socket.gethostname(),
            pid=self.record.worker.pid if self.record.worker else None,
            worker_id=self.record.worker_id,
            version=self.record.version,
            reason=step.reason,
            exit_code=self.status,
            crashes_in_a_row=step.crashes if isinstance(step, Again) else 1,
            looping=isinstance(step, Again) and step.looping,
        )
        task = asyncio.create_task(self._report(report), name="crash-report")
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report(self, report: CrashReport) -> None:
        from kubiya_workers.client.http import ControlPlaneClient  # 20 MB that a worker which never crashes spares

        try:
            async with (
                asyncio.timeout(_REPORT_WITHIN_S),
                ControlPlaneClient(self._spec.url, self._spec.key) as client,
            ):
                await client.queues.crashed(self._spec.queue, report)
        except (Refusal, TimeoutError) as error:
            log.warning("Control plane was not told of the crash", reason=str(error) or "no answer")

    async def _end_reports(self) -> None:
        if self._reports:
            await asyncio.wait(self._reports, timeout=_REPORT_WITHIN_S)


def _started_with(spec: LocalWorker, limits: LogLimits) -> StartedWith:
    return StartedWith(
        cwd=str(spec.cwd),
        flags=dict(spec.env),
        max_log_size=limits.max_size,
        max_log_backups=limits.max_backups,
        proxy_config=str(spec.proxy_config) if spec.proxy_config else None,
    )


def _reason(error: Refusal | BadSetting) -> str:
    return error.detail if isinstance(error, Refusal) else str(error)


def _status(error: Refusal | BadSetting) -> int:
    """As a worker's own exit statuses: 5 network, 6 configuration."""
    return 5 if isinstance(error, Refusal) else 6


def _ourselves() -> ProcessRef:
    return ProcessRef(pid=os.getpid(), start=start_time(os.getpid()))


def _words(answered: tuple[int, bytes] | None) -> str:
    """Why it is not fit, from the checks of its `/livez`."""
    if answered is None:
        return "it does not answer at its health address"
    with contextlib.suppress(ValueError, KeyError, TypeError):
        failed = [check for check in json.loads(answered[1])["checks"] if check["state"] != "ok"]
        return "; ".join(f"{check['name']}: {check['detail']}" for check in failed)
    return f"its health answers {answered[0]}"
