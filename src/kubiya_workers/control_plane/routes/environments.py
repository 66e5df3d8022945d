"""/environments."""

from collections.abc import Sequence

from fastapi import APIRouter

from kubiya_workers.contracts.environments import Environment, EnvironmentPatch, NewEnvironment
from kubiya_workers.contracts.queues import NewQueue, Queue
from kubiya_workers.control_plane.deps import Client, Paged, Plane
from kubiya_workers.control_plane.services import environments, queues

router = APIRouter(tags=["environments"])


@router.get("/environments")
async def list_environments(plane: Plane, caller: Client, page: Paged) -> Sequence[Environment]:
    return await environments.list_(plane.database, skip=page.skip, limit=page.limit)


@router.post("/environments", status_code=201)
async def create_environment(plane: Plane, caller: Client, new: NewEnvironment) -> Environment:
    return await environments.create(plane.database, new)


@router.get("/environments/{ref}/worker-queues")
async def list_queues(plane: Plane, caller: Client, ref: str, page: Paged) -> Sequence[Queue]:
    return await queues.list_(plane.database, environment=ref, skip=page.skip, limit=page.limit)


@router.post("/environments/{ref}/worker-queues", status_code=201)
async def create_queue(plane: Plane, caller: Client, ref: str, new: NewQueue) -> Queue:
    return await queues.create(plane.database, ref, new)


@router.get("/environments/{ref}")
async def get_environment(plane: Plane, caller: Client, ref: str) -> Environment:
    return await environments.get(plane.database, ref)


@router.patch("/environments/{ref}")
async def change_environment(plane: Plane, caller: Client, ref: str, patch: EnvironmentPatch) -> Environment:
    return await environments.change(plane.database, ref, patch)


@router.delete("/environments/{ref}", status_code=204)
async def delete_environment(plane: Plane, caller: Client, ref: str) -> None:
    await environments.remove(plane.database, ref)
