"""Workers: they register on a queue, beat and leave; people list them."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from kubiya_workers.contracts.ids import WorkerId
from kubiya_workers.contracts.pool import CrashReport
from kubiya_workers.contracts.workers import (
    Action,
    AskedOf,
    Disconnect,
    Heartbeat,
    Registered,
    Registration,
    Wanted,
    Worker,
)
from kubiya_workers.control_plane.deps import Admin, Anyone, Client, ControlPlane, Paged, Plane, WorkerToken, reached_at
from kubiya_workers.control_plane.services import crashes, models, workers
from kubiya_workers.control_plane.services.enrolment import Enrolled

LONGEST_WAIT_S = 25.0

router = APIRouter(tags=["workers"])


@router.post("/worker-queues/{ref}/start")
async def register(
    request: Request, plane: Plane, caller: Anyone, ref: str, asked: Registration | None = None
) -> Registered:
    asked = asked or Registration()
    if asked.model:
        await models.check(plane.models, asked.model)
    enrolled = await workers.register(plane.database, caller, ref, asked)
    # The address by which this worker reached us is the one that works for it, whatever we are called elsewhere: it
    # says which, since behind a proxy we may not see it.
    return _registered(plane, enrolled, (asked.control_plane_url or reached_at(request)).rstrip("/"))


@router.post("/worker-queues/{ref}/crashes", status_code=204)
async def report_crash(plane: Plane, caller: Anyone, ref: str, report: CrashReport) -> None:
    await crashes.note(plane.database, plane.auth, caller, ref, report)


@router.get("/workers")
async def list_workers(plane: Plane, caller: Client, page: Paged, live: bool | None = None) -> Sequence[Worker]:
    return await workers.list_(plane.database, live=live, skip=page.skip, limit=page.limit)


@router.get("/workers/{worker_id}")
async def get_worker(plane: Plane, caller: Client, worker_id: WorkerId) -> Worker:
    return await workers.get(plane.database, worker_id)


@router.post("/workers/{worker_id}/heartbeat", response_model=None, responses={200: {"model": Wanted}, 204: {}})
async def beat(plane: Plane, caller: WorkerToken, worker_id: WorkerId, heartbeat: Heartbeat) -> Wanted | Response:
    """204, or 200 with what is wanted of this worker."""
    wish = await workers.beat(plane.database, caller, worker_id, heartbeat)
    return Response(status_code=204) if wish is None else Wanted(wish=wish)


@router.get("/workers/{worker_id}/wish", response_model=None, responses={200: {"model": Wanted}, 204: {}})
async def await_wish(
    plane: Plane, caller: WorkerToken, worker_id: WorkerId, wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S)] = 0.0
) -> Wanted | Response:
    """200 with what is wanted of this worker once there is something, 204 after `wait` seconds."""
    wish = await plane.waiting.wish(plane.database, caller, worker_id, wait)
    return Response(status_code=204) if wish is None else Wanted(wish=wish)


@router.post("/workers/{worker_id}/disconnect", status_code=204)
async def disconnect(plane: Plane, caller: WorkerToken, worker_id: WorkerId, leave: Disconnect) -> None:
    await workers.disconnect(plane.database, plane.auth, caller, worker_id, leave)


@router.post("/workers/{worker_id}/{action}", status_code=202)
async def ask(plane: Plane, caller: Admin, worker_id: WorkerId, action: Action, asked: AskedOf | None = None) -> Worker:
    """It hears of it within moments, at its next heartbeat at the latest: `wish` of it says whether it has."""
    worker = await workers.ask(plane.database, caller, worker_id, action, asked or AskedOf())
    plane.waiting.wake(worker_id)
    return worker


def _registered(plane: ControlPlane, enrolled: Enrolled, url: str) -> Registered:
    queue, temporal = enrolled.queue, plane.temporal
    return Registered(
        worker_id=enrolled.worker.id,
        worker_token=enrolled.token,
        task_queue_name=queue.task_queue_name,
        temporal_namespace=temporal.namespace,
        temporal_host=temporal.host,
        temporal_api_key=temporal.api_key,
        temporal_tls=temporal.tls,
        temporal_tunnel=temporal.tunnel,
        control_plane_url=url,
        heartbeat_interval=enrolled.heartbeat_interval,
        litellm_api_url=url,
        litellm_api_key=enrolled.token,
        queue_name=queue.name,
        environment_name=enrolled.environment_name,
        queue_id=queue.id,
        queue_ephemeral=queue.ephemeral,
        queue_single_execution=queue.single_execution_mode,
        queue_settings=queue.settings,
    )
