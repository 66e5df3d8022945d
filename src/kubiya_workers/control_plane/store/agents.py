"""The statements of agents."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.agents import Agent
from kubiya_workers.contracts.ids import AgentId

from .documents import by_id_or_name, from_row, to_row
from .errors import taken
from .tables import agents

_FIND = by_id_or_name(agents)


async def insert(connection: AsyncConnection, agent: Agent) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"an agent named {agent.name!r}"):
        await connection.execute(sa.insert(agents).values(to_row(agents, agent)))


async def find(connection: AsyncConnection, id_or_name: str) -> Agent | None:
    """By id or by name; an id wins."""
    row = (await connection.execute(_FIND, {"ref": id_or_name})).mappings().first()
    return None if row is None else from_row(Agent, row)


async def list_(connection: AsyncConnection, *, skip: int = 0, limit: int | None = None) -> Sequence[Agent]:
    """In the order of their names; `limit` None means all."""
    query = sa.select(agents).order_by(agents.c.name).offset(skip).limit(limit)
    return [from_row(Agent, row) for row in (await connection.execute(query)).mappings()]


async def update(connection: AsyncConnection, agent: Agent) -> None:
    """Store every field anew. Raises `Conflict` when the name is taken."""
    with taken(f"an agent named {agent.name!r}"):
        await connection.execute(sa.update(agents).where(agents.c.id == agent.id).values(to_row(agents, agent)))


async def delete(connection: AsyncConnection, agent_id: AgentId) -> None:
    await connection.execute(sa.delete(agents).where(agents.c.id == agent_id))
