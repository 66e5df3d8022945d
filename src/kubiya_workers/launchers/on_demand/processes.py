"""Workers on demand as processes of this machine; they end with the control plane that started them.

Each has a directory of its own, where its tools work and its log is; it has nothing of the control plane's
environment but what any program needs: providers' keys are none of its business.
"""

import asyncio
import contextlib
import shlex
import shutil
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.on_demand import KeptWorker
from kubiya_workers.observability import logs
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.inherited import harmless
from kubiya_workers.settings.on_demand import PROCESS
from kubiya_workers.settings.source import Source

from .. import local, state
from ..guard import Guard
from ..spec import LocalWorker
from ..upkeep.rotation import LogLimits, RotatingLog
from ..worker_process import WorkerProcess
from .port import Ending, Order, passed

_LOG = LogLimits(max_size=16 * 1024**2, max_backups=1)
_LOG_FILE = "worker.log"
_STOP_S = 3.0

log = logs.get(__name__)


@dataclass
class _Running:
    process: WorkerProcess
    ends: asyncio.Task[int]
    until_removed: AsyncExitStack


class Processes:
    """One a control plane; `root` is a directory of its own."""

    kind = PROCESS
    look_s = 0.2
    outlives = False

    def __init__(self, root: Path, guard: Guard, environ: Mapping[str, str] | None = None) -> None:
        self._root = root
        self._guard = guard
        self._environ = inherited(Source.of_process().environ if environ is None else environ)
        self._running: dict[str, _Running] = {}

    async def start(self, order: Order) -> None:
        """Raises Unavailable: its directory cannot be made."""
        if order.name in self._running:
            return
        directory = self._root / order.name
        try:
            state.make_private(directory / "work")
            output = log_in(directory)
        except OSError as error:
            raise Unavailable(f"{directory} cannot be made: {error.strerror}") from error
        spec = LocalWorker(
            queue=order.name,
            url=order.url,
            key=order.key,
            cwd=directory / "work",
            single_execution=True,
            inherits=self._environ,
        )
        async with AsyncExitStack() as stack:
            stack.callback(output.close)
            worker = local.worker(spec, log=lambda line: output.write(f"{line}\n".encode()), guard=self._guard)
            process = await stack.enter_async_context(worker)
            ends = asyncio.create_task(process.wait(), name=f"on-demand-{order.name}")
            self._running[order.name] = _Running(process, ends, stack.pop_all())

    async def ended(self, name: str) -> Ending | None:
        running = self._running.get(name)
        if running is None:
            return Ending(words="it ended with the control plane that had started it")
        return Ending(running.ends.result(), running.process.last_words) if running.ends.done() else None

    async def remove(self, name: str) -> None:
        await self._end(name)
        await asyncio.to_thread(shutil.rmtree, self._root / name, ignore_errors=True)

    async def keep(self, name: str) -> KeptWorker:
        await self._end(name)
        return kept(self.kind, self._root / name)

    async def left(self) -> Collection[str]:
        if not self._root.is_dir():
            return ()
        return [entry.name for entry in self._root.iterdir() if entry.is_dir()]

    async def close(self) -> None:
        """End all of them, those that need long for it hard: their executions go on with the next control plane."""
        await asyncio.gather(*(running.process.stop(_STOP_S) for running in self._running.values()))
        await asyncio.gather(*map(self._end, list(self._running)))

    async def _end(self, name: str) -> None:
        if (running := self._running.pop(name, None)) is None:
            return
        await running.until_removed.aclose()
        with contextlib.suppress(asyncio.CancelledError):
            await running.ends


def log_in(directory: Path) -> RotatingLog:
    """The log of a worker of one execution, in the directory that is its own. Raises OSError."""
    return RotatingLog(directory / _LOG_FILE, _LOG, on_gap=_tell_of_gap)


def kept(provisioner: str, directory: Path) -> KeptWorker:
    """What is said of one whose directory stays."""
    where = shlex.quote(str(directory))
    look = f"ls -R {where}; less {where}/{_LOG_FILE}"
    return KeptWorker(provisioner=provisioner, name=directory.name, look=look, remove=f"rm -r {where}")


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a worker on demand has of the control plane's environment."""
    return harmless(environ) | passed(environ) | {v.HOME.name: environ.get(v.HOME.name, "")}


def _tell_of_gap(count: int, reason: str) -> None:
    log.warning("Lines of the log of a worker on demand are missing", count=count, reason=reason)
