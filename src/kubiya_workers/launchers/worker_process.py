"""A worker's process: how it is started, what it says, and how it is ended.

It is told by its environment what it is for, and tells by two ways how it is: lines of log on its output, and a line
of JSON, `contracts.pool.Ready`, on a descriptor of its own each time that it newly polls.
"""

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from pydantic import ValidationError

from kubiya_workers.contracts.pool import ProcessRef, Ready
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import Source

from . import pipes
from .guard import end_group, start_time
from .pipes import Pipe
from .spec import LocalWorker

DRAIN_S = 40.0
"""Seconds that a worker gets to finish or hand back what it does; it needs 25, and a little to say farewell."""
_LAST_WORDS = 4
_TAIL_S = 2.0
_FINE = re.compile(r"\[(?:INFO|DEBUG)\] |\"level\": \"(?:INFO|DEBUG)\"")
_TIME = re.compile(r"^\S+Z \[(?:WARN|ERROR)\] ")

Sink = Callable[[bytes], None]
"""Takes whole lines, each with its end."""


class WorkerProcess:
    """A running worker."""

    def __init__(self, process: asyncio.subprocess.Process, ready: Pipe, output: Pipe, sink: Sink) -> None:
        self._process = process
        self.ref = ProcessRef(pid=process.pid, start=start_time(process.pid))
        self._ready = ready
        self._last: deque[bytes] = deque(maxlen=_LAST_WORDS)
        self._output = output
        self._forwarding = asyncio.create_task(self._forward(sink), name="worker-output")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last lines that it wrote of what went wrong, joined."""
        return said_last(line.decode(errors="replace") for line in self._last)

    async def readies(self) -> AsyncIterator[Ready]:
        """Each time that it newly polls; ends when it ends."""
        while line := await self._ready.reader.readline():
            try:
                yield Ready.model_validate_json(line)
            except ValidationError:
                continue  # a tool that found the descriptor: what it says is none of ours

    async def wait(self) -> int:
        """Its exit status, negative for a signal, once it has ended and all it said was forwarded."""
        status = await self._process.wait()
        # A program of its that left its session may hold the pipes open for ever.
        await asyncio.wait({self._forwarding}, timeout=_TAIL_S)
        self._forwarding.cancel()
        self._output.close()
        self._ready.close()
        return status

    async def stop(self, timeout: float = DRAIN_S) -> int:
        """Ask it to drain, kill its whole group after `timeout` seconds; its exit status."""
        await end_group(self.pid, timeout, start=self.ref.start)
        return await self.wait()

    async def _forward(self, sink: Sink) -> None:
        async for lines in pipes.whole_lines(self._output.reader):
            self._last.extend(lines.rsplit(b"\n", _LAST_WORDS + 1)[-_LAST_WORDS - 1 : -1])
            sink(lines)


def said_last(lines: Iterable[str]) -> str:
    """The lines that are no news of a worker that is well, without their times, joined."""
    return " / ".join(_TIME.sub("", line).strip() for line in lines if line.strip() and not _FINE.search(line))


async def spawn(program: tuple[str, ...], spec: LocalWorker, sink: Sink) -> WorkerProcess:
    """Start `program` with the interpreter of `spec`, as the leader of a session of its own."""
    with pipes.opened() as (ready, tells), pipes.opened() as (output, prints):
        process = await asyncio.create_subprocess_exec(
            str(spec.python or sys.executable),
            *program,
            "--queue-id",
            spec.queue,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=prints,
            stderr=asyncio.subprocess.STDOUT,
            cwd=spec.cwd,
            env=environment(spec, {v.READY_FD.name: str(tells)}),
            pass_fds=(tells,),
            start_new_session=True,
        )
    return WorkerProcess(process, await pipes.read(ready), await pipes.read(output), sink)


def environment(spec: LocalWorker, extra: dict[str, str]) -> dict[str, str]:
    """What the worker has of the environment, and what it has to know: the key too, which is never an argument."""
    base = Source.of_process().environ if spec.inherits is None else spec.inherits
    known = {**base, **spec.env}
    for other in (v.BASE_URL, v.GATEWAY_URL, v.SINGLE_EXECUTION):
        known.pop(other.name, None)
    known |= {
        v.QUEUE_ID.name: spec.queue,
        v.API_KEY.name: spec.key,
        v.CONTROL_PLANE_URL.name: spec.url,
        **extra,
    }
    if spec.python is not None:
        # For its tools: `python` and `pip` are those of the environment.
        known["VIRTUAL_ENV"] = str(spec.python.parents[1])
        known["PATH"] = _first(str(spec.python.parent), known.get("PATH", os.defpath))
    if spec.single_execution:
        known[v.SINGLE_EXECUTION.name] = "true"
    if spec.models is not None:
        known = {name: value for name, value in known.items() if name not in spec.models.hidden}
        known |= {
            v.LITELLM_API_BASE.name: spec.models.url,
            v.LITELLM_API_KEY.name: spec.models.key,
            v.LITELLM_MODEL.name: spec.models.default_model or "",
        }
    if spec.log is not None:
        known[v.LOG_FILE.name] = str(spec.log)
    return known


def _first(directory: str, path: str) -> str:
    """The search path with `directory` first, once: a supervisor has done so before."""
    return os.pathsep.join((directory, *(part for part in path.split(os.pathsep) if part != directory)))
