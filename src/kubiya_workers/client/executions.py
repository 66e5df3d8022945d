"""Executions: read, steer and follow them."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import httpx
from pydantic import BaseModel, TypeAdapter

from kubiya_workers.contracts.console import Minute
from kubiya_workers.contracts.events import Delta, Fact, Marker
from kubiya_workers.contracts.executions import ApprovalAnswer, Execution, RunStart, Status, UserInput
from kubiya_workers.contracts.queues import QueueBacklog
from kubiya_workers.contracts.teams import Delegation
from kubiya_workers.contracts.tools import Workspace

from .connection import Connection
from .errors import unreachable
from .paths import part
from .sse import follow

_ONE = TypeAdapter(Execution)
_MINUTES = TypeAdapter(list[Minute])
_BACKLOGS = TypeAdapter(list[QueueBacklog])
_MANY = TypeAdapter(list[Execution])
_WORKSPACE = TypeAdapter(Workspace)
_RUN = TypeAdapter(RunStart)


class Executions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(
        self,
        *,
        status: Status | None = None,
        agent: str | None = None,
        team: str | None = None,
        parent: str | None = None,
        queue: str | None = None,
        worker: str | None = None,
        job: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text: str | None = None,
        sort: str | None = None,
        skip: int = 0,
        limit: int = 50,
    ) -> list[Execution]:
        """Newest first, unless `sort` names a column, after a `-` for descending."""
        query = {
            "status": status and status.value,
            "agent_id": agent,
            "team_id": team,
            "parent_execution_id": parent,
            "worker_queue_id": queue,
            "worker_id": worker,
            "job_id": job,
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "text": text,
            "sort": sort,
            "skip": skip,
            "limit": limit,
        }
        return await self._connection.get("/executions", _MANY, query)

    async def activity(self, *, minutes: int = 60) -> Sequence[Minute]:
        """What happened in each of the last minutes, the newest last."""
        return await self._connection.get("/executions/activity", _MINUTES, {"minutes": minutes})

    async def backlog(self) -> Sequence[QueueBacklog]:
        """The queues in which executions wait for somebody to take them."""
        return await self._connection.get("/executions/backlog", _BACKLOGS)

    async def get(self, execution: str) -> Execution:
        return await self._connection.get(f"/executions/{part(execution)}", _ONE)

    async def cancel(self, execution: str) -> None:
        await self._act(execution, "cancel")

    async def pause(self, execution: str) -> None:
        await self._act(execution, "pause")

    async def resume(self, execution: str) -> None:
        await self._act(execution, "resume")

    async def message(self, execution: str, message: str) -> None:
        """A follow-up for a run that waits for input."""
        await self._act(execution, "message", UserInput(message=message))

    async def answer(self, execution: str, approval: str, answer: ApprovalAnswer) -> None:
        """A person's word on a tool call that waits for it."""
        await self._act(execution, f"approvals/{part(approval)}", answer)

    async def workspace(self, execution: str) -> Workspace:
        """Where and with what its tools run; only for the workers of its queue."""
        return await self._connection.get(f"/executions/{part(execution)}/workspace", _WORKSPACE)

    async def delegate(self, execution: str, wanted: Delegation) -> RunStart:
        """A member's run of a step of a team's run, stored; only for the workers of its queue."""
        return await self._connection.put("POST", f"/executions/{part(execution)}/delegations", _RUN, wanted)

    async def stream(
        self, execution: str, last_event_id: str | None = None
    ) -> AsyncGenerator[tuple[str, Fact | Delta | Marker], None]:
        """Every event after `last_event_id` with its own id: the past, then live until `done`; survives broken
        connections.

        Raises:
            Unreachable: the control plane stayed away for longer than the reader waits.
        """
        url = self._connection.address(f"/executions/{part(execution)}/stream")
        try:
            async for event in follow(self._connection.http, url, last_event_id=last_event_id):
                yield event
        except httpx.HTTPError as error:
            raise unreachable(self._connection.url, error) from error

    async def _act(self, execution: str, action: str, body: BaseModel | None = None) -> None:
        await self._connection.send("POST", f"/executions/{part(execution)}/{action}", body)
