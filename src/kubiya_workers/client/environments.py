"""Environments, and the queues that are made in them. An environment is named by id or by name."""

from pydantic import TypeAdapter

from kubiya_workers.contracts.environments import Environment, EnvironmentPatch, NewEnvironment

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Environment)
_MANY = TypeAdapter(list[Environment])


class Environments:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, skip: int = 0, limit: int = 100) -> list[Environment]:
        return await self._connection.get("/environments", _MANY, {"skip": skip, "limit": limit})

    async def get(self, environment: str) -> Environment:
        return await self._connection.get(f"/environments/{part(environment)}", _ONE)

    async def create(self, new: NewEnvironment) -> Environment:
        return await self._connection.put("POST", "/environments", _ONE, new)

    async def edit(self, environment: str, patch: EnvironmentPatch) -> Environment:
        return await self._connection.put("PATCH", f"/environments/{part(environment)}", _ONE, patch)

    async def delete(self, environment: str) -> None:
        await self._connection.send("DELETE", f"/environments/{part(environment)}")
