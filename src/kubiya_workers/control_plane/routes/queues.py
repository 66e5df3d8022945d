"""/worker-queues. A queue is named by its id or its name; it is made in its environment."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request

from kubiya_workers.contracts.errors import Forbidden
from kubiya_workers.contracts.executions import Execution, Status
from kubiya_workers.contracts.keys import Scope
from kubiya_workers.contracts.queues import Queue, QueuePatch
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.contracts.workers import Worker
from kubiya_workers.control_plane.deps import Anyone, Client, Paged, Plane, reached_at
from kubiya_workers.control_plane.services import queues

router = APIRouter(prefix="/worker-queues", tags=["worker queues"])


@router.get("")
async def list_queues(plane: Plane, caller: Client, page: Paged) -> Sequence[Queue]:
    return await queues.list_(plane.database, skip=page.skip, limit=page.limit)


@router.get("/{ref}")
async def get_queue(plane: Plane, caller: Client, ref: str) -> Queue:
    return await queues.get(plane.database, ref)


@router.patch("/{ref}")
async def change_queue(plane: Plane, caller: Client, ref: str, patch: QueuePatch) -> Queue:
    return await queues.change(plane.database, ref, patch)


@router.delete("/{ref}", status_code=204)
async def delete_queue(plane: Plane, caller: Client, ref: str, force: bool = False) -> None:
    await queues.remove(plane.database, ref, force=force)


@router.get("/{ref}/workers")
async def list_workers(
    plane: Plane, caller: Client, ref: str, page: Paged, live: bool | None = None
) -> Sequence[Worker]:
    return await queues.workers_of(plane.database, ref, live=live, skip=page.skip, limit=page.limit)


@router.get("/{ref}/config")
async def get_config(plane: Plane, caller: Anyone, ref: str) -> JsonObject:
    config = await queues.config(plane.database, ref)
    if caller.scope is Scope.WORKER and caller.queue_id not in (None, config["queue_id"]):
        raise Forbidden("this key is for another queue")
    return config


@router.get("/{ref}/metrics")
async def get_metrics(plane: Plane, caller: Client, ref: str) -> JsonObject:
    return await queues.metrics(plane.database, ref)


@router.get("/{ref}/worker-command")
async def get_worker_command(request: Request, plane: Plane, caller: Client, ref: str) -> JsonObject:
    return queues.worker_command(await queues.get(plane.database, ref), reached_at(request))


@router.get("/{ref}/executions")
async def list_executions(
    plane: Plane, caller: Client, ref: str, page: Paged, status: Annotated[Status | None, Query()] = None
) -> Sequence[Execution]:
    return await queues.executions_of(plane.database, ref, status=status, skip=page.skip, limit=page.limit)
