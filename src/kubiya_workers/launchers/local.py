"""A worker as a process of this machine, which ends with whoever started it.

The process runs a short `worker.py` in the queue's directory, `~/.kubiya/workers/<queue>/`; one that takes a single
execution runs the module itself, and leaves nothing on the disk.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.contracts.errors import Invalid, Unavailable
from kubiya_workers.contracts.ids import NAME_RULE, is_safe_name
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source

from .guard import Guard, end_group, start_time
from .spec import LocalWorker
from .state import make_private, unwritable

__all__ = ["LocalWorker", "WorkerProcess", "worker"]

DRAIN_S = 15.0
"""Seconds that a worker gets to finish what it does when its owner is gone or leaves the context."""
_LINE_LIMIT = 64 * 1024
_LAST_WORDS = 4

_LAUNCHER = """\
\"\"\"Starts the worker of this directory's queue; what it needs to know is in its environment.\"\"\"
import sys

sys.path.pop(0)  # this directory is the worker's own: nothing in it is a module

from kubiya_workers.worker.__main__ import main

main()
"""
_WITHOUT_A_FILE = ("-P", "-m", "kubiya_workers.worker")


@dataclass(frozen=True)
class _Pipe:
    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport


class WorkerProcess:
    """A running worker, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, ready: _Pipe, log: Callable[[str], None]) -> None:
        self._process = process
        self._start = start_time(process.pid)
        self._ready = ready
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)
        self._output = asyncio.create_task(self._forward(log), name="worker-output")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> None:
        """Return as soon as the worker polls its queue.

        Raises:
            Unavailable: it ended before; with its last words.
        """
        if await self._ready.reader.readline():
            return
        status = await self.wait()
        raise Unavailable(f"the worker ended with status {status} before it was ready: {' / '.join(self._last)}")

    async def wait(self) -> int:
        """Its exit status, negative for a signal, once it has ended and all it said was forwarded."""
        status = await self._process.wait()
        await self._output
        return status

    async def stop(self, timeout: float = DRAIN_S) -> int:
        """Ask it to drain, kill its whole group after `timeout` seconds; its exit status."""
        await end_group(self.pid, timeout, start=self._start)
        self._ready.transport.close()
        return await self.wait()

    async def _forward(self, log: Callable[[str], None]) -> None:
        assert self._process.stdout is not None  # it was started with a pipe
        rest = b""
        while chunk := await self._process.stdout.read(_LINE_LIMIT):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._say(line, log)
            if len(rest) > _LINE_LIMIT:
                self._say(rest, log)
                rest = b""
        if rest:
            self._say(rest, log)

    def _say(self, line: bytes, log: Callable[[str], None]) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._last.append(text)
        log(text)


@asynccontextmanager
async def worker(
    paths: Paths, spec: LocalWorker, *, log: Callable[[str], None], guard: Guard | None = None
) -> AsyncGenerator[WorkerProcess, None]:
    """A worker for as long as the context lasts; leaving it drains the worker, for up to DRAIN_S seconds.

    Args:
        log: given each line that the worker writes.
        guard: of this process; None starts one for this worker alone.

    Raises:
        Invalid: the queue's name cannot be a directory's.
        BadSetting: its directory cannot be written.
    """
    if not is_safe_name(spec.queue):
        raise Invalid(f"{spec.queue!r} cannot name a queue: {NAME_RULE}")
    with _guard(guard) as keeper:
        process = await _spawn(_program(paths, spec), spec, log)
        keeper.adopt(process.pid, grace=DRAIN_S)
        try:
            yield process
        finally:
            await process.stop()
            keeper.release(process.pid)


@contextmanager
def _guard(guard: Guard | None) -> Generator[Guard, None, None]:
    if guard is not None:
        yield guard
        return
    with Guard.start() as own:
        yield own


def _program(paths: Paths, spec: LocalWorker) -> tuple[str, ...]:
    """What Python is to run. A single execution has no file of its own: none is left when its owner is killed."""
    if spec.single_execution:
        return _WITHOUT_A_FILE
    directory = paths.worker(spec.queue)
    try:
        make_private(directory)
    except OSError as error:
        raise unwritable(directory, error) from error
    return (str(_write_launcher(directory)),)


async def _spawn(program: tuple[str, ...], spec: LocalWorker, log: Callable[[str], None]) -> WorkerProcess:
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            str(spec.python or sys.executable),
            *program,
            "--queue-id",
            spec.queue,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=spec.cwd,
            env=_environment(spec, writing),
            pass_fds=(writing,),
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return WorkerProcess(process, await _pipe(reading), log)


def _write_launcher(directory: Path) -> Path:
    script = directory / "worker.py"
    try:
        if not script.exists() or script.read_text() != _LAUNCHER:
            fresh = directory / f".worker.{os.getpid()}.py"
            fresh.touch(mode=0o600)
            fresh.write_text(_LAUNCHER)
            fresh.replace(script)
    except OSError as error:
        raise unwritable(script, error) from error
    return script


def _environment(spec: LocalWorker, ready: int) -> dict[str, str]:
    """The user's own environment and what the worker has to know; the key is here, and never among its arguments."""
    environment = {**Source.of_process().environ, **spec.env}
    for other in (v.BASE_URL, v.GATEWAY_URL, v.SINGLE_EXECUTION):
        environment.pop(other.name, None)
    environment |= {
        v.QUEUE_ID.name: spec.queue,
        v.API_KEY.name: spec.key,
        v.CONTROL_PLANE_URL.name: spec.url,
        v.READY_FD.name: str(ready),
    }
    if spec.python is not None:
        # For its tools: `python` and `pip` are those of the environment.
        environment["VIRTUAL_ENV"] = str(spec.python.parents[1])
        environment["PATH"] = os.pathsep.join((str(spec.python.parent), environment.get("PATH", os.defpath)))
    if spec.single_execution:
        environment[v.SINGLE_EXECUTION.name] = "true"
    return environment


async def _pipe(descriptor: int) -> _Pipe:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return _Pipe(reader, transport)
