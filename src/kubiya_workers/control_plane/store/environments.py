"""The statements of environments."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.environments import Environment
from kubiya_workers.contracts.ids import EnvironmentId

from .documents import by_id_or_name, from_row, to_row
from .errors import taken
from .tables import environments

_FIND = by_id_or_name(environments)
_GET = sa.select(environments).where(environments.c.id == sa.bindparam("wanted"))


async def insert(connection: AsyncConnection, environment: Environment) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"an environment named {environment.name!r}"):
        await connection.execute(sa.insert(environments).values(to_row(environments, environment)))


async def find(connection: AsyncConnection, id_or_name: str) -> Environment | None:
    """By id or by name; an id wins."""
    row = (await connection.execute(_FIND, {"ref": id_or_name})).mappings().first()
    return None if row is None else from_row(Environment, row)


async def list_(connection: AsyncConnection, *, skip: int = 0, limit: int | None = None) -> Sequence[Environment]:
    """In the order of their names; `limit` None means all."""
    query = sa.select(environments).order_by(environments.c.name).offset(skip).limit(limit)
    return [from_row(Environment, row) for row in (await connection.execute(query)).mappings()]


async def update(connection: AsyncConnection, environment: Environment) -> None:
    """Store every field anew. Raises `Conflict` when the name is taken."""
    with taken(f"an environment named {environment.name!r}"):
        await connection.execute(
            sa.update(environments).where(environments.c.id == environment.id).values(to_row(environments, environment))
        )


async def delete(connection: AsyncConnection, environment_id: EnvironmentId) -> None:
    await connection.execute(sa.delete(environments).where(environments.c.id == environment_id))


async def get(connection: AsyncConnection, environment_id: EnvironmentId) -> Environment | None:
    row = (await connection.execute(_GET, {"wanted": environment_id})).mappings().first()
    return None if row is None else from_row(Environment, row)
