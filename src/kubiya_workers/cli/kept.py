"""What is left of a worker of one run that failed, where that was asked for, and what is said of it."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.on_demand import KEPT_WORKER, KeptWorker
from kubiya_workers.launchers import state
from kubiya_workers.launchers.on_demand import processes

from .following import Ended
from .render.renderer import Renderer

_KEPT_WITHIN_S = 20.0
_LOOK_S = 0.2


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


@dataclass
class OfLocalRun:
    """A local run's worker: `write` takes each line of its log, `ended` how the run went, once that is known."""

    write: Callable[[str], None]
    ended: Ended | None = None


@contextlib.contextmanager
def local(directory: Path, renderer: Renderer, *, wanted: bool) -> Generator[OfLocalRun]:
    """For a local run; `directory` is its worker's. Where it is wanted, the log is written there, and stays unless the
    run completes.

    Raises:
        OSError: the directory cannot be made.
    """
    if not wanted:
        yield OfLocalRun(lambda _: None)
        return
    state.make_private(directory)
    with contextlib.closing(processes.log_in(directory)) as log:
        run = OfLocalRun(lambda line: log.write(f"{line}\n".encode()))
        try:
            yield run
        finally:
            if run.ended is not None and run.ended.reason is None:
                shutil.rmtree(directory, ignore_errors=True)
            else:
                renderer.note(_told(processes.kept("local", directory)))


def _told(kept: KeptWorker) -> str:
    return f"The worker {kept.name} was kept for inspection.\nLook at it: {kept.look}\nRemove it:  {kept.remove}"
