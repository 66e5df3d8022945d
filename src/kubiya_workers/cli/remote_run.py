"""`exec` on somebody's worker: submitted, followed, and left running when the reader leaves."""

import asyncio

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.executions import Status

from . import kept
from .following import Ended, follow, submit
from .render.renderer import Renderer
from .run_request import RunRequest


async def run_there(cp: ControlPlaneClient, request: RunRequest, renderer: Renderer) -> Ended:
    """Run it on the queue that the request names, in its environment, or where the control plane chooses; on a worker
    that is started for it where none is live.

    Raises:
        Refusal: no such agent, queue or environment, or no live worker. Cancelled: only the reader leaves.
    """
    new = request.new
    if request.environment is not None:
        new = new.model_copy(update={"environment_id": request.environment})
    submitted = await submit(cp, request, new)
    try:
        ended = await follow(cp, submitted.id, renderer, timeout=request.timeout)
        if request.new.keep_on_failure and ended.execution.status is Status.FAILED:
            renderer.note(await kept.of(cp, submitted.id))
        return ended
    except asyncio.CancelledError:
        renderer.note(
            f"The execution goes on. Follow it: kubiya execution logs {submitted.id} --follow\n"
            f"Cancel it: kubiya execution cancel {submitted.id}"
        )
        raise
