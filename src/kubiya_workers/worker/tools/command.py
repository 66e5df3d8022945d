"""A program run as a tool: in a session of its own, its output read as it comes, and nothing left behind."""

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kubiya_workers.launchers.guard import Guard, end_group, start_time

from .call import ToolFault

_GRACE_S = 1.0
"""How long a command may take to end once it is asked to, before it is killed."""
_LATE_OUTPUT_S = 0.2
"""How long output is still awaited once the command's whole session is gone: what left the session may hold the
pipe open for ever."""


@dataclass(frozen=True)
class Command:
    """What is executed: the file, the words it is started with, where, and with what."""

    path: str
    words: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(repr=False)
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True)
class End:
    """How it ended; `status` is 128 + n when signal n ended it, as in a shell."""

    status: int
    timed_out: bool


class Sink(Protocol):
    """What takes output as it comes."""

    def feed(self, data: bytes, /) -> None: ...

    def close(self) -> None:
        """No more follows."""


async def execute(command: Command, *, timeout: float, guard: Guard | None, sinks: tuple[Sink, ...]) -> End:
    """Run to the end, or until `timeout` seconds are over; then, and on cancellation, end the whole group.

    Raises:
        ToolFault: it cannot be started.
    """
    output = _Output(sinks)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        # The reader is there before the command: from its start on, nothing stands between it and its ending.
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, pipe)
        try:
            end = await _watch(await _spawn(command, writer), timeout, guard)
            await output.end_within(_LATE_OUTPUT_S)
        finally:
            transport.close()
    return end


class _Output(asyncio.Protocol):
    """What the command prints, from the pipe to the sinks."""

    def __init__(self, sinks: tuple[Sink, ...]) -> None:
        self._sinks = sinks
        self._ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        for sink in self._sinks:
            sink.feed(data)

    async def end_within(self, seconds: float) -> None:
        """Wait for what is still in the pipe, but not for what keeps it open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()

    def _close(self) -> None:
        sinks, self._sinks = self._sinks, ()
        for sink in sinks:
            sink.close()


async def _spawn(command: Command, writer: int) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command.words,
            executable=command.path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            cwd=command.directory,
            env=dict(command.environment),
            pass_fds=command.descriptors,
            start_new_session=True,
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise ToolFault(f"The command could not be started: {reason}. A very long text goes into a file.") from None
    except ValueError as error:
        raise ToolFault(f"The command could not be started: {error} in its environment or arguments.") from None
    finally:
        os.close(writer)  # only the command has it now, so that its end is the end of the output


async def _watch(process: Process, timeout: float, guard: Guard | None) -> End:
    """Wait for the command to end, end all that it leaves behind, and end it when its time is up or on cancel."""
    start = start_time(process.pid)
    if guard is not None:
        guard.adopt(process.pid, grace=_GRACE_S)
    try:
        timed_out = not await _ended_within(process, timeout)
    finally:
        await end_group(process.pid, _GRACE_S, start=start)
        if guard is not None:
            guard.release(process.pid)
    code = await process.wait()
    return End(128 - code if code < 0 else code, timed_out)


async def _ended_within(process: Process, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await process.wait()
    except TimeoutError:
        return False
    return True
