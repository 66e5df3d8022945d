"""/jobs, and the addresses that webhooks are delivered to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from kubiya_workers.contracts.executions import Execution
from kubiya_workers.contracts.ids import new_id
from kubiya_workers.contracts.jobs import Fired, Firing, JobPatch, NewJob, ShownJob, Trigger, TriggerType

from ..deps import Client, Paged
from ..jobs import webhooks
from ..jobs.firing import Firings, Occasion
from ..jobs.template import PAYLOAD
from ..services.executions import Executions
from ..services.jobs import Jobs
from ..store.executions import Filter

Named = Annotated[str | None, Header(max_length=200)]


def router(jobs: Jobs, firings: Firings, executions: Executions) -> APIRouter:  # noqa: C901 - one route after the other
    """The routes, working on these services. A job is named by its id or its name."""
    routes = APIRouter(tags=["jobs"])

    @routes.get("/jobs")
    async def list_(caller: Client, page: Paged) -> Sequence[ShownJob]:
        return await jobs.list(skip=page.skip, limit=page.limit)

    @routes.post("/jobs", status_code=201)
    async def create(caller: Client, new: NewJob) -> ShownJob:
        return await jobs.create(new, caller)

    @routes.get("/jobs/{ref}")
    async def get(ref: str, caller: Client) -> ShownJob:
        return await jobs.get(ref, caller)

    @routes.patch("/jobs/{ref}")
    async def change(ref: str, caller: Client, patch: JobPatch) -> ShownJob:
        return await jobs.change(ref, patch, caller)

    @routes.delete("/jobs/{ref}", status_code=204)
    async def delete(ref: str, caller: Client) -> None:
        await jobs.delete(ref)

    @routes.post("/jobs/{ref}/enable")
    async def enable(ref: str, caller: Client) -> ShownJob:
        return await jobs.enable(ref, caller)

    @routes.post("/jobs/{ref}/disable")
    async def disable(ref: str, caller: Client) -> ShownJob:
        return await jobs.disable(ref, caller)

    @routes.post("/jobs/{ref}/rotate-webhook")
    async def rotate(ref: str, caller: Client) -> ShownJob:
        return await jobs.rotate_webhook(ref, caller)

    @routes.post("/jobs/{ref}/trigger")
    async def trigger(ref: str, caller: Client, wanted: Trigger | None = None, idempotency_key: Named = None) -> Fired:
        """Fire it now; sent again with the same `Idempotency-Key` it is the same firing."""
        job_id, occasion = await jobs.by_hand(ref, wanted or Trigger(), caller, idempotency_key)
        return _fired(await firings.fire(job_id, occasion))

    @routes.get("/jobs/{ref}/firings")
    async def fired(ref: str, caller: Client, page: Paged) -> Sequence[Firing]:
        """What became of each time that it was due, newest first."""
        return await jobs.firings(ref, skip=page.skip, limit=page.limit)

    @routes.get("/jobs/{ref}/executions")
    async def executed(ref: str, caller: Client, page: Paged, response: Response) -> Sequence[Execution]:
        """Its executions, newest first; `X-Total-Count` says how many there are on all pages."""
        wanted = Filter(job_id=await jobs.id_of(ref))
        found, total = await executions.list(wanted, sort="-created_at", skip=page.skip, limit=page.limit)
        response.headers["X-Total-Count"] = str(total)
        return found

    @routes.post("/webhooks/{job_id}/{token}", status_code=202)
    async def deliver(
        job_id: str,
        token: str,
        request: Request,
        response: Response,
        idempotency_key: Named = None,
        x_github_delivery: Named = None,
    ) -> Fired | None:
        """Fire the job of an address, which is all that its sender needs; delivered again it is the same firing."""
        job = await jobs.of_webhook(job_id, token)
        body = await webhooks.received(request.headers.get("content-length"), request.stream())
        webhooks.check_signature(job.webhook_secret, body, request.headers.get("x-hub-signature-256"))
        payload = webhooks.payload_of(body, request.headers.get("content-type"))
        if request.headers.get("x-github-event") == "ping":
            response.status_code = 204  # it was only tried whether anybody is here
            return None
        identity = idempotency_key or x_github_delivery or new_id()
        values = {} if payload is None else {PAYLOAD: payload}
        occasion = Occasion(TriggerType.WEBHOOK, identity, datetime.now(UTC), job.key_id, values)
        return _fired(await firings.fire(job.id, occasion))

    return routes


def _fired(firing: Firing) -> Fired:
    return Fired.model_validate({**firing.model_dump(), "firing_id": firing.id})
