"""The statements of skills."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import SkillId
from kubiya_workers.contracts.skills import Skill

from .documents import from_row, to_row
from .errors import taken
from .tables import skills


async def insert(connection: AsyncConnection, skill: Skill) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"a skill named {skill.name!r}"):
        await connection.execute(sa.insert(skills).values(to_row(skills, skill)))


async def find(connection: AsyncConnection, id_or_name: str) -> Skill | None:
    """By id or by name; an id wins."""
    named = sa.or_(skills.c.id == id_or_name, skills.c.name == id_or_name)
    query = sa.select(skills).where(named).order_by(sa.desc(skills.c.id == id_or_name)).limit(1)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else from_row(Skill, row)


async def list_(connection: AsyncConnection, *, skip: int = 0, limit: int | None = None) -> Sequence[Skill]:
    """In the order of their names; `limit` None means all."""
    query = sa.select(skills).order_by(skills.c.name).offset(skip).limit(limit)
    return [from_row(Skill, row) for row in (await connection.execute(query)).mappings()]


async def update(connection: AsyncConnection, skill: Skill) -> None:
    """Store every field anew. Raises `Conflict` when the name is taken."""
    with taken(f"a skill named {skill.name!r}"):
        await connection.execute(sa.update(skills).where(skills.c.id == skill.id).values(to_row(skills, skill)))


async def delete(connection: AsyncConnection, skill_id: SkillId) -> None:
    await connection.execute(sa.delete(skills).where(skills.c.id == skill_id))
