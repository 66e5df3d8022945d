"""Environments: variables, secrets and queues that belong together."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.agent import mcp
from kubiya_workers.contracts.environments import (
    DEFAULT_ENVIRONMENT,
    Environment,
    EnvironmentPatch,
    NewEnvironment,
)
from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.ids import EnvironmentId, new_id
from kubiya_workers.control_plane.store import environments as store
from kubiya_workers.control_plane.store import queues
from kubiya_workers.control_plane.store.database import Database

from .names import check_name
from .patches import patched


async def list_(database: Database, *, skip: int, limit: int) -> Sequence[Environment]:
    async with database.reading() as connection:
        return await store.list_(connection, skip=skip, limit=limit)


async def get(database: Database, ref: str) -> Environment:
    """By id or name. Raises `NotFound`."""
    async with database.reading() as connection:
        return await find(connection, ref)


async def create(database: Database, new: NewEnvironment) -> Environment:
    """Raises `Invalid` for a bad name or MCP server, `Conflict` for a taken name."""
    check_name("an environment", new.name)
    mcp.check_environment(new.execution_environment)
    now = datetime.now(UTC)
    made = Environment(id=EnvironmentId(new_id()), created_at=now, updated_at=now, **new.model_dump())
    async with database.writing() as connection:
        await store.insert(connection, made)
    return made


async def change(database: Database, ref: str, patch: EnvironmentPatch) -> Environment:
    """Raises `NotFound`, `Invalid`."""
    mcp.check_environment(patch.execution_environment)
    async with database.writing() as connection:
        new = patched(await find(connection, ref), patch.changes())
        await store.update(connection, new)
    return new


async def remove(database: Database, ref: str) -> None:
    """Raises `NotFound`, or `Conflict` for the default environment or one that has queues."""
    async with database.writing() as connection:
        environment = await find(connection, ref)
        if environment.name == DEFAULT_ENVIRONMENT:
            raise Conflict("the default environment cannot be deleted")
        held = await queues.list_(connection, environment_id=environment.id)
        if held:
            names = ", ".join(queue.name for queue in held)
            raise Conflict(f"environment {environment.name!r} has worker queues: {names}", fix="Delete them first.")
        await store.delete(connection, environment.id)


async def find(connection: AsyncConnection, ref: str) -> Environment:
    """By id or name, within a transaction. Raises `NotFound`."""
    environment = await store.find(connection, ref)
    if environment is None:
        raise NotFound(f"no environment {ref!r}", fix="The environment 'default' always exists.")
    return environment
