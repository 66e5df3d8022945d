"""Kept workers, started, found and stopped by other processes: what `kubiya worker start|stop` stand on.

The queue's lock file, held by whoever keeps its worker, decides between starts at the same moment; the kernel drops
it when its holder dies.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

from pydantic import ValidationError

import kubiya_workers
from kubiya_workers.contracts.errors import Conflict, Unavailable
from kubiya_workers.contracts.pool import Mode, Record, UpkeepState
from kubiya_workers.contracts.wire import Wire
from kubiya_workers.settings.paths import Paths

from .. import pipes
from ..guard import end_group
from ..locks import FileLock
from ..spec import LocalWorker
from ..state import make_private, unwritable
from ..worker_process import environment
from . import records
from .keeper import Keeper
from .output import Echo, opened
from .rotation import LogLimits

_UP_WITHIN_S = 180.0
_POLL_S = 0.05
_LEAVE_S = 5.0
_SEEN_S = 2.0


class Report(Wire):
    """The one line with which a supervisor answers whoever started it."""

    record: Record
    status: int = 0
    """The exit status of a worker that did not come to poll."""


class NotStarted(Exception):
    """The worker did not come to poll: its own exit status, and its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


async def start(paths: Paths, spec: LocalWorker, limits: LogLimits) -> tuple[Record, bool]:
    """A supervised worker that polls, and whether it was started by this call.

    Raises:
        Conflict: a command in the foreground keeps the queue's worker.
        Unavailable: a supervisor has it, but its worker does not run.
        NotStarted: the worker ended before it polled.
        BadSetting: the home cannot be written.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _UP_WITHIN_S
    lock = _lock(paths, spec.queue)
    try:
        while loop.time() < deadline:
            if lock.exclusively():
                return await _supervised(spec, limits, lock), True
            found = _as_kept(records.read(paths, spec.queue))
            if found is not None:
                return found, False
            await asyncio.sleep(_POLL_S)  # another command starts it, or it is about to end
    finally:
        lock.close()
    raise Unavailable(f"the worker of queue {spec.queue} neither runs nor ends", fix=_look(spec.queue))


def _as_kept(record: Record | None) -> Record | None:
    """The record of a worker that runs; None while that is not yet clear."""
    if record is None or record.state.is_over:
        return None
    if record.mode is Mode.FOREGROUND:
        raise in_the_foreground(record)
    if record.state is UpkeepState.CRASH_LOOPING:
        raise Unavailable(
            f"a supervisor (PID {record.supervisor.pid}) has this queue's worker, which is crash-looping: "
            f"{record.reason}",
            fix=f"{_look(record.queue)}; kubiya worker restart --queue-id={record.queue}",
        )
    return record if record.state is UpkeepState.RUNNING else None


def in_the_foreground(record: Record) -> Conflict:
    return Conflict(
        f"the worker of queue {record.queue} already runs in the foreground of another terminal "
        f"(PID {record.supervisor.pid})",
        fix=f"kubiya worker status --queue-id={record.queue}; kubiya worker stop --queue-id={record.queue}",
    )


def _look(queue: str) -> str:
    return f"kubiya worker logs --queue-id={queue} --tail=50"


async def _supervised(spec: LocalWorker, limits: LogLimits, lock: FileLock) -> Record:
    """Start the supervisor, which inherits the lock, and wait for its word."""
    with pipes.opened() as (reading, writing):
        process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's own would end its child with the event loop
            _command(spec, limits, report=writing, lock=lock.descriptor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=spec.cwd,
            env=environment(spec, {}),
            pass_fds=(writing, lock.descriptor),
            start_new_session=True,
        )
    try:
        report = await _report(reading)
    except BaseException:
        await asyncio.shield(end_group(process.pid, _LEAVE_S))
        process.wait()
        raise
    if report is None:
        status = await asyncio.to_thread(process.wait)
        raise NotStarted(status, f"its supervisor ended with status {status} before the worker polled")
    if report.record.state is not UpkeepState.RUNNING:
        await asyncio.to_thread(process.wait)
        raise NotStarted(report.status, report.record.reason or "without a word")
    # It lives on without us; should it end before us, it is reaped.
    threading.Thread(target=process.wait, name="reap-supervisor", daemon=True).start()
    return report.record


def _command(spec: LocalWorker, limits: LogLimits, *, report: int, lock: int) -> list[str]:
    words = {
        "--queue-id": spec.queue,
        "--python": str(spec.python),
        "--flags": json.dumps(dict(spec.env)),
        **({"--proxy-config": str(spec.proxy_config)} if spec.proxy_config else {}),
        "--max-log-size": str(limits.max_size),
        "--max-log-backups": str(limits.max_backups),
        "--report-fd": str(report),
        "--lock-fd": str(lock),
    }
    pairs = [word for pair in words.items() for word in pair]
    return [sys.executable, "-P", "-m", "kubiya_workers.launchers.upkeep.supervisor", *pairs]


async def _report(descriptor: int) -> Report | None:
    try:
        line = await pipes.first_line(descriptor, _UP_WITHIN_S)
    except TimeoutError:
        raise Unavailable(f"the worker did not poll within {_UP_WITHIN_S:.0f} s") from None
    with suppress(ValidationError):
        return Report.model_validate_json(line)
    return None


@asynccontextmanager
async def foreground(paths: Paths, spec: LocalWorker, limits: LogLimits, echo: Echo) -> AsyncGenerator[Keeper, None]:
    """A keeper in this process, to be run with `keep`; it holds the queue's lock until the context ends.

    Raises:
        Conflict: somebody keeps the queue's worker already.
        BadSetting: the home cannot be written.
    """
    lock = _lock(paths, spec.queue)
    try:
        if not await _taken(lock, paths, spec.queue):
            raise _already_kept(paths, spec.queue)
        with opened(paths, spec, limits, echo) as output:
            yield Keeper(paths, spec, Mode.FOREGROUND, output)
    finally:
        lock.close()


async def stop(paths: Paths, queue: str, timeout: float) -> Record | None:
    """End the queue's worker and what keeps it; None when nothing ran. Several at once do no harm.

    What has not drained after `timeout` seconds is killed, with all that it had started.
    """
    record = records.read(paths, queue)
    if record is None or record.state.is_over:
        return None
    keeper, worker = record.supervisor, record.worker
    if not records.is_alive(keeper):
        if worker is not None:
            await end_group(worker.pid, timeout, start=worker.start)
        settle(paths, queue)
        return record
    if record.state is not UpkeepState.STOPPING:  # a second signal could mean "now"
        os.kill(keeper.pid, signal.SIGTERM)
    if not await _gone(paths, queue, record, timeout):
        last = records.read(paths, queue) or record
        for process in filter(None, (worker, last.worker)):
            await end_group(process.pid, 0.0, start=process.start)
        if not await _gone(paths, queue, record, _LEAVE_S):
            await end_group(keeper.pid, 0.0, start=keeper.start)
    settle(paths, queue)
    return record


def takes_restart(record: Record) -> bool:
    """Whether whoever keeps the worker can be asked for another in its place: one of another version may not know."""
    running = record.state is UpkeepState.RUNNING and records.is_alive(record.supervisor)
    return running and record.version == kubiya_workers.__version__


def restart(record: Record) -> None:
    """Ask whoever keeps the worker to drain it and start another: the variables and flags are those of its keeper.

    Raises:
        Conflict: it cannot be asked now.
    """
    if not takes_restart(record):
        raise Conflict(
            f"the worker of queue {record.queue} is {record.state}, or was started by another version",
            fix=f"kubiya worker restart --queue-id={record.queue}",
        )
    os.kill(record.supervisor.pid, signal.SIGUSR1)


def settle(paths: Paths, queue: str) -> Record | None:
    """The truth about a queue's worker; written down when whoever kept it cannot do so any more."""
    record = records.read(paths, queue)
    if record is None:
        return None
    if record.state.is_over and record != records.stored(paths, queue):
        with suppress(OSError):
            lock = FileLock.at(paths.worker_lock(queue))
            try:
                if lock.exclusively():
                    records.write(paths, record)
            finally:
                lock.close()
    return record


@contextmanager
def held(paths: Paths, queue: str) -> Generator[None]:
    """Nobody keeps the queue's worker, or begins to, while the context lasts.

    Raises:
        Conflict: somebody does.
    """
    lock = _lock(paths, queue)
    try:
        if not lock.exclusively():
            raise _already_kept(paths, queue)
        yield
    finally:
        lock.close()


async def _gone(paths: Paths, queue: str, record: Record, limit: float) -> bool:
    """Whether keeper and worker ended within `limit` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    while records.is_alive(record.supervisor) or records.is_alive(record.worker):
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


async def _taken(lock: FileLock, paths: Paths, queue: str) -> bool:
    """Whether the lock is ours now; one that another has for a moment only, to look, is waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SEEN_S
    while not lock.exclusively():
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _already_kept(paths: Paths, queue: str) -> Conflict:
    record = records.read(paths, queue)
    if record is not None and record.mode is Mode.FOREGROUND:
        return in_the_foreground(record)
    by = f" by a supervisor (PID {record.supervisor.pid})" if record else ""
    return Conflict(
        f"the worker of queue {queue} is already kept{by}",
        fix=f"kubiya worker status --queue-id={queue}; kubiya worker stop --queue-id={queue}",
    )


def _lock(paths: Paths, queue: str) -> FileLock:
    directory = paths.upkeep(queue)
    try:
        make_private(directory)
        return FileLock.at(paths.worker_lock(queue))
    except OSError as error:
        raise unwritable(directory, error) from error
