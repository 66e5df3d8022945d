"""What is left of a worker of one run that failed, where that was asked for, and what is said of it."""

import asyncio
import contextlib
import shlex
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.on_demand import KEPT_WORKER, KeptWorker
from kubiya_workers.launchers import state
from kubiya_workers.launchers.upkeep.rotation import LogLimits, RotatingLog

from .following import Ended
from .render.renderer import Renderer

_KEPT_WITHIN_S = 20.0
_LOOK_S = 0.2
_LOG = LogLimits(max_size=16 * 1024**2, max_backups=1)


async def of(cp: ControlPlaneClient, execution_id: ExecutionId) -> str:
    """What the control plane has kept of the worker that it started for a run, and how to look and to remove it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_KEPT_WITHIN_S):
            while True:
                metadata = (await cp.executions.get(execution_id)).execution_metadata
                if KEPT_WORKER in metadata:
                    return _told(KeptWorker.model_validate(metadata[KEPT_WORKER]))
                await asyncio.sleep(_LOOK_S)
    return "No worker was kept: none was left of those that were started for it."


class OfLocalRun:
    """The log of a local run's worker, kept where the run fails; `directory` is the worker's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._failed = True
        self._log: RotatingLog | None = None

    def write(self, line: str) -> None:
        if self._log is not None:
            self._log.write(f"{line}\n".encode())

    def ended(self, ended: Ended) -> Ended:
        self._failed = ended.reason is not None
        return ended

    @contextlib.contextmanager
    def open(self, tell: Callable[[str], None]) -> Generator["OfLocalRun"]:
        """Raises OSError: its directory cannot be made."""
        state.make_private(self._directory)
        self._log = RotatingLog(self._directory / "worker.log", _LOG, on_gap=lambda _, __: None)
        try:
            yield self
        finally:
            self._log.close()
            self._log = None
            if self._failed:
                where = shlex.quote(str(self._directory))
                kept = KeptWorker(
                    provisioner="local",
                    name=self._directory.name,
                    look=f"less {where}/worker.log",
                    remove=f"rm -r {where}",
                )
                tell(_told(kept))
            else:
                shutil.rmtree(self._directory, ignore_errors=True)


@contextlib.contextmanager
def local(directory: Path, renderer: Renderer, *, wanted: bool) -> Generator[OfLocalRun]:
    """For a local run: writes nothing unless it is wanted."""
    made = OfLocalRun(directory)
    if not wanted:
        yield made
        return
    with made.open(renderer.note) as opened:
        yield opened


def _told(kept: KeptWorker) -> str:
    return f"The worker {kept.name} was kept for inspection.\nLook at it: {kept.look}\nRemove it:  {kept.remove}"
