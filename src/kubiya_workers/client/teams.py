"""Teams. A team is named by id or by name."""

from uuid import uuid4

from pydantic import TypeAdapter

from kubiya_workers.contracts.executions import NewExecution, Submitted
from kubiya_workers.contracts.teams import NewTeam, Team, TeamPatch

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Team)
_MANY = TypeAdapter(list[Team])
_SUBMITTED = TypeAdapter(Submitted)


class Teams:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, skip: int = 0, limit: int = 100) -> list[Team]:
        return await self._connection.get("/teams", _MANY, {"skip": skip, "limit": limit})

    async def get(self, team: str) -> Team:
        return await self._connection.get(f"/teams/{part(team)}", _ONE)

    async def create(self, new: NewTeam) -> Team:
        return await self._connection.put("POST", "/teams", _ONE, new)

    async def edit(self, team: str, patch: TeamPatch) -> Team:
        return await self._connection.put("PATCH", f"/teams/{part(team)}", _ONE, patch)

    async def delete(self, team: str) -> None:
        await self._connection.send("DELETE", f"/teams/{part(team)}")

    async def execute(self, team: str, new: NewExecution, *, idempotency_key: str | None = None) -> Submitted:
        """Submit an execution; two requests with the same key are one execution."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        path = f"/teams/{part(team)}/execute"
        return await self._connection.put("POST", path, _SUBMITTED, new, headers=headers)
