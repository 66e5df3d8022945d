"""The statements of teams."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import TeamId
from kubiya_workers.contracts.teams import Team

from .documents import by_id_or_name, from_row, to_row
from .errors import taken
from .tables import teams

_FIND = by_id_or_name(teams)


async def insert(connection: AsyncConnection, team: Team) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"a team named {team.name!r}"):
        await connection.execute(sa.insert(teams).values(to_row(teams, team)))


async def find(connection: AsyncConnection, id_or_name: str) -> Team | None:
    """By id or by name; an id wins."""
    row = (await connection.execute(_FIND, {"ref": id_or_name})).mappings().first()
    return None if row is None else from_row(Team, row)


async def list_(connection: AsyncConnection, *, skip: int = 0, limit: int | None = None) -> Sequence[Team]:
    """In the order of their names; `limit` None means all."""
    query = sa.select(teams).order_by(teams.c.name).offset(skip).limit(limit)
    return [from_row(Team, row) for row in (await connection.execute(query)).mappings()]


async def update(connection: AsyncConnection, team: Team) -> None:
    """Store every field anew. Raises `Conflict` when the name is taken."""
    with taken(f"a team named {team.name!r}"):
        await connection.execute(sa.update(teams).where(teams.c.id == team.id).values(to_row(teams, team)))


async def delete(connection: AsyncConnection, team_id: TeamId) -> None:
    await connection.execute(sa.delete(teams).where(teams.c.id == team_id))
