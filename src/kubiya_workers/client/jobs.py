"""Jobs. A job is named by its id or its name."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from kubiya_workers.contracts.executions import Execution
from kubiya_workers.contracts.jobs import Fired, Firing, JobPatch, NewJob, ShownJob, Trigger

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(ShownJob)
_MANY = TypeAdapter(list[ShownJob])
_FIRED = TypeAdapter(Fired)
_FIRINGS = TypeAdapter(list[Firing])
_EXECUTIONS = TypeAdapter(list[Execution])


class Jobs:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, skip: int = 0, limit: int = 100) -> list[ShownJob]:
        return await self._connection.get("/jobs", _MANY, {"skip": skip, "limit": limit})

    async def get(self, job: str) -> ShownJob:
        return await self._connection.get(f"/jobs/{part(job)}", _ONE)

    async def create(self, new: NewJob) -> ShownJob:
        return await self._connection.put("POST", "/jobs", _ONE, new)

    async def edit(self, job: str, patch: JobPatch) -> ShownJob:
        return await self._connection.put("PATCH", f"/jobs/{part(job)}", _ONE, patch)

    async def delete(self, job: str) -> None:
        await self._connection.send("DELETE", f"/jobs/{part(job)}")

    async def enable(self, job: str) -> ShownJob:
        return await self._connection.put("POST", f"/jobs/{part(job)}/enable", _ONE)

    async def disable(self, job: str) -> ShownJob:
        return await self._connection.put("POST", f"/jobs/{part(job)}/disable", _ONE)

    async def rotate_webhook(self, job: str) -> ShownJob:
        """With the new address of its webhook; the old one is worth nothing any more."""
        return await self._connection.put("POST", f"/jobs/{part(job)}/rotate-webhook", _ONE)

    async def trigger(self, job: str, wanted: Trigger) -> Fired:
        """Fire it now. Raises `Conflict` where it is refused."""
        return await self._connection.put("POST", f"/jobs/{part(job)}/trigger", _FIRED, wanted)

    async def firings(self, job: str, *, skip: int = 0, limit: int = 100) -> Sequence[Firing]:
        """What became of each time that it was due, newest first."""
        return await self._connection.get(f"/jobs/{part(job)}/firings", _FIRINGS, {"skip": skip, "limit": limit})

    async def executions(self, job: str, *, skip: int = 0, limit: int = 100) -> Sequence[Execution]:
        """Newest first."""
        return await self._connection.get(f"/jobs/{part(job)}/executions", _EXECUTIONS, {"skip": skip, "limit": limit})
