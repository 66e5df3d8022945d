"""`exec` on several queues: one execution on each, followed side by side."""

import asyncio
from collections.abc import Sequence

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.queues import Queue

from .exit import Exit, Failed
from .following import Ended, cancel, follow, submit
from .render.lanes import Lanes
from .render.renderer import Renderer
from .run_request import RunRequest


async def run_on_each(cp: ControlPlaneClient, request: RunRequest, lanes: Lanes, renderer: Renderer) -> Sequence[Ended]:
    """The ends of all runs, in the order of the queues; one that fails leaves the others alone.

    Raises:
        Refusal: there is no such queue, or the control plane refuses a run: then none goes on.
        Failed: two names are of one queue, or a run did not end in time, which is told when all are over.
        Cancelled: only the reader leaves.
    """
    queues = [await cp.queues.get(queue) for queue in request.queues]
    _check_apart(request.queues, queues)
    runs = await _submitted(cp, request, queues)
    following = [
        follow(cp, run, lanes(name, run), timeout=request.timeout)
        for name, run in zip(request.queues, runs, strict=True)
    ]
    try:
        results = await asyncio.gather(*following, return_exceptions=True)
    except asyncio.CancelledError:
        renderer.note("The executions go on. Follow one: kubiya execution logs EXECUTION --follow")
        for name, run in zip(request.queues, runs, strict=True):
            renderer.note(f"  {name}: {run}")
        raise
    return [_ended(result) for result in results]


def _check_apart(names: Sequence[str], queues: Sequence[Queue]) -> None:
    found: dict[str, str] = {}
    for name, queue in zip(names, queues, strict=True):
        if (other := found.setdefault(queue.id, name)) != name:
            raise Failed(f"{other} and {name} are the same queue", fix="Name each queue once.", status=Exit.USAGE)


async def _submitted(cp: ControlPlaneClient, request: RunRequest, queues: Sequence[Queue]) -> list[str]:
    runs: list[str] = []
    try:
        for queue in queues:
            changes = {"worker_queue_id": queue.id, "environment_id": request.environment}
            submitted = await submit(cp, request, request.new.model_copy(update=changes))
            runs.append(submitted.id)
    except BaseException:
        await asyncio.gather(*(cancel(cp, run) for run in runs))
        raise
    return runs


def _ended(result: Ended | BaseException) -> Ended:
    if isinstance(result, BaseException):
        raise result
    return result
