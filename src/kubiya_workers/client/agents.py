"""Agents. An agent is named by id or by name."""

from uuid import uuid4

from pydantic import TypeAdapter

from kubiya_workers.contracts.agents import Agent, AgentPatch, NewAgent
from kubiya_workers.contracts.executions import NewExecution, Submitted

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Agent)
_MANY = TypeAdapter(list[Agent])
_SUBMITTED = TypeAdapter(Submitted)


class Agents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, skip: int = 0, limit: int = 100) -> list[Agent]:
        return await self._connection.get("/agents", _MANY, {"skip": skip, "limit": limit})

    async def get(self, agent: str) -> Agent:
        return await self._connection.get(f"/agents/{part(agent)}", _ONE)

    async def create(self, new: NewAgent) -> Agent:
        return await self._connection.put("POST", "/agents", _ONE, new)

    async def edit(self, agent: str, patch: AgentPatch) -> Agent:
        return await self._connection.put("PATCH", f"/agents/{part(agent)}", _ONE, patch)

    async def delete(self, agent: str) -> None:
        await self._connection.send("DELETE", f"/agents/{part(agent)}")

    async def execute(self, agent: str, new: NewExecution, *, idempotency_key: str | None = None) -> Submitted:
        """Submit an execution; two requests with the same key are one execution."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        path = f"/agents/{part(agent)}/execute"
        return await self._connection.put("POST", path, _SUBMITTED, new, headers=headers)
