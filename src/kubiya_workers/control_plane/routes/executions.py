"""Executions over HTTP: submit, read, steer. Their event streams are in `streams`."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response

from kubiya_workers.contracts.console import Minute
from kubiya_workers.contracts.executions import (
    ApprovalAnswer,
    Execution,
    ExecutionPatch,
    NewExecution,
    RunStart,
    Session,
    Status,
    Submitted,
    UserInput,
)
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.queues import QueueBacklog
from kubiya_workers.contracts.teams import Delegation
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.contracts.wire import zoned

from ..deps import Anyone, Client, Paged, Plane, WorkerToken
from ..services import queues
from ..services.delegations import delegate
from ..services.executions import Executions
from ..services.submitting import Submitting
from ..store.executions import Filter


async def _wanted(
    status: Status | None = None,
    agent_id: str | None = None,
    team_id: str | None = None,
    execution_type: str | None = None,
    worker_queue_id: str | None = None,
    worker_id: str | None = None,
    job_id: str | None = None,
    parent_execution_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: Annotated[str | None, Query(max_length=1000)] = None,
) -> Filter:
    return Filter(
        status=status,
        agent_id=agent_id,
        team_id=team_id,
        execution_type=execution_type,
        queue_id=worker_queue_id,
        worker_id=worker_id,
        job_id=job_id,
        parent_id=parent_execution_id,
        since=zoned(since),
        until=zoned(until),
        text=text,
    )


IdempotencyKey = Annotated[str | None, Header(max_length=200)]
Wanted = Annotated[Filter, Depends(_wanted)]
"""Which executions a list is about; a queue is named by its id or its name."""


def router(executions: Executions, submit: Submitting) -> APIRouter:  # noqa: C901 - one route after the other
    """The routes, working on these services."""
    routes = APIRouter(tags=["executions"])

    @routes.post("/agents/{agent}/execute")
    async def execute_agent(
        agent: str, new: NewExecution, caller: Client, idempotency_key: IdempotencyKey = None
    ) -> Submitted:
        """Store and start a run; sent again with the same `Idempotency-Key` it is the same run."""
        return await submit("agent", agent, new, key_id=caller.key_id, identity=_identity(caller, idempotency_key))

    @routes.post("/teams/{team}/execute")
    async def execute_team(
        team: str, new: NewExecution, caller: Client, idempotency_key: IdempotencyKey = None
    ) -> Submitted:
        """As an agent's."""
        return await submit("team", team, new, key_id=caller.key_id, identity=_identity(caller, idempotency_key))

    @routes.get("/executions")
    async def list_(
        plane: Plane,
        caller: Client,
        page: Paged,
        response: Response,
        wanted: Wanted,
        sort: str = "-created_at",
    ) -> list[Execution]:
        """A page of runs; `X-Total-Count` says how many there are on all pages."""
        if wanted.queue_id is not None:
            wanted = replace(wanted, queue_id=await queues.id_of(plane.database, wanted.queue_id))
        found, total = await executions.list(wanted, sort=sort, skip=page.skip, limit=page.limit)
        response.headers["X-Total-Count"] = str(total)
        return list(found)

    @routes.get("/executions/activity")
    async def activity(caller: Client, minutes: Annotated[int, Query(ge=1, le=1440)] = 60) -> list[Minute]:
        """What happened to executions in each of the last minutes, the present one last."""
        return list(await executions.activity(minutes, datetime.now(UTC)))

    @routes.get("/executions/backlog")
    async def backlog(plane: Plane, caller: Client) -> list[QueueBacklog]:
        """The queues in which executions wait for somebody to take them."""
        return list(await queues.backlog(plane.database))

    @routes.get("/executions/{execution_id}")
    async def get(execution_id: ExecutionId, caller: Anyone) -> Execution:
        return await executions.look(execution_id)

    @routes.patch("/executions/{execution_id}")
    async def patch(execution_id: ExecutionId, change: ExecutionPatch, caller: Client) -> Execution:
        return await executions.patch(execution_id, change)

    @routes.get("/executions/{execution_id}/session")
    async def session(execution_id: ExecutionId, caller: Client) -> Session:
        return await executions.session(execution_id)

    @routes.delete("/executions/{execution_id}", status_code=204)
    async def delete(execution_id: ExecutionId, caller: Client) -> Response:
        await executions.delete(execution_id)
        return Response(status_code=204)

    @routes.get("/executions/{execution_id}/workspace")
    async def workspace(execution_id: ExecutionId, caller: WorkerToken) -> Workspace:
        return await executions.workspace(caller, execution_id)

    @routes.post("/executions/{execution_id}/delegations")
    async def delegation(execution_id: ExecutionId, wanted: Delegation, caller: WorkerToken) -> RunStart:
        """A member's run of a step, stored for the run of its team to start it; sent again, it is the same run."""
        return await delegate(executions, caller, execution_id, wanted)

    @routes.post("/executions/{execution_id}/message")
    async def message(execution_id: ExecutionId, said: UserInput, caller: Client) -> Execution:
        return await executions.message(execution_id, said.message)

    @routes.post("/executions/{execution_id}/cancel")
    async def cancel(execution_id: ExecutionId, caller: Client) -> Execution:
        return await executions.cancel(execution_id)

    @routes.post("/executions/{execution_id}/terminate")
    async def terminate(execution_id: ExecutionId, caller: Client) -> Execution:
        return await executions.terminate(execution_id)

    @routes.post("/executions/{execution_id}/pause")
    async def pause(execution_id: ExecutionId, caller: Client) -> Execution:
        return await executions.pause(execution_id)

    @routes.post("/executions/{execution_id}/resume")
    async def resume(execution_id: ExecutionId, caller: Client) -> Execution:
        return await executions.resume(execution_id)

    @routes.post("/executions/{execution_id}/mark-done")
    async def mark_done(execution_id: ExecutionId, caller: Client) -> Execution:
        return await executions.mark_done(execution_id)

    @routes.post("/executions/{execution_id}/approvals/{approval_id}")
    async def answer(execution_id: ExecutionId, approval_id: str, said: ApprovalAnswer, caller: Client) -> Execution:
        by = said.by or caller.name
        return await executions.answer(execution_id, approval_id, said.model_copy(update={"by": by}))

    return routes


def _identity(caller: Caller, idempotency_key: str | None) -> str | None:
    return f"kubiya:{caller.key_id}:{idempotency_key}" if idempotency_key else None
