"""`exec` on somebody's worker: submitted, followed, and left running when the reader leaves."""

import asyncio

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import NotFound

from .following import Ended, follow, submit
from .render.renderer import Renderer
from .run_request import RunRequest


async def run_there(cp: ControlPlaneClient, request: RunRequest, renderer: Renderer) -> Ended:
    """Run it on the queue that the request names, in its environment, or where the control plane chooses.

    Raises:
        Refusal: no such agent or queue, or no live worker. Cancelled: only the reader leaves.
    """
    queue = request.new.worker_queue_id
    if queue is None and request.environment is not None:
        queue = await _queue_in(cp, request.environment)
    new = request.new if queue is None else request.new.model_copy(update={"worker_queue_id": queue})
    submitted = await submit(cp, request.agent, new)
    try:
        return await follow(cp, submitted.id, renderer, timeout=request.timeout)
    except asyncio.CancelledError:
        renderer.note(
            f"The execution goes on. Follow it: kubiya execution logs {submitted.id} --follow\n"
            f"Cancel it: kubiya execution cancel {submitted.id}"
        )
        raise


async def _queue_in(cp: ControlPlaneClient, environment: str) -> str:
    """A queue of the environment, one with a live worker if there is one."""
    found = await cp.environments.get(environment)
    queues = [queue for queue in await cp.queues.list(limit=1000) if queue.environment_id == found.id]
    if not queues:
        raise NotFound(
            f"environment {found.name!r} has no queue",
            fix=f"Make one: kubiya queue create NAME --environment {found.name}",
        )
    return max(queues, key=lambda queue: queue.active_workers).id
