"""A worker as a process of this machine, which ends with whoever started it.

The process runs a short `worker.py` in the queue's directory, `~/.kubiya/workers/<queue>/`; one that takes a single
execution for `exec --local` runs the module itself, and leaves nothing on the disk.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

from .guard import Guard
from .spec import LocalWorker
from .worker_process import WorkerProcess, spawn

DRAIN_S = 15.0
"""Seconds that a worker of one run gets to finish what it does when its owner leaves the context."""
_PROGRAM = ("-P", "-m", "kubiya_workers.worker")


@asynccontextmanager
async def worker(
    spec: LocalWorker, *, log: Callable[[str], None], guard: Guard | None = None
) -> AsyncGenerator[WorkerProcess, None]:
    """A worker without a directory, for as long as the context lasts; leaving it drains the worker.

    Args:
        log: given each line that the worker writes.
        guard: of this process; None starts one for this worker alone.
    """

    def by_line(lines: bytes) -> None:
        for line in lines.decode(errors="replace").splitlines():
            log(line)

    with _guard(guard) as keeper:
        process = await spawn(_PROGRAM, spec, by_line)
        keeper.adopt(process.pid, grace=DRAIN_S)
        try:
            yield process
        finally:
            await process.stop(DRAIN_S)
            keeper.release(process.pid)


@contextmanager
def _guard(guard: Guard | None) -> Generator[Guard, None, None]:
    if guard is not None:
        yield guard
        return
    with Guard.start() as own:
        yield own
