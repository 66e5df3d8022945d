"""The statements of skills."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.ids import SkillId
from kubiya_workers.contracts.skills import Skill

from .documents import by_id_or_name, from_row, to_row
from .errors import taken
from .tables import skills

_FIND = by_id_or_name(skills)
_REFS = sa.bindparam("refs", type_=sa.String(), expanding=True)
_FIND_ALL = sa.select(skills).where(sa.or_(skills.c.id.in_(_REFS), skills.c.name.in_(_REFS)))


async def insert(connection: AsyncConnection, skill: Skill) -> None:
    """Raises `Conflict` when the name is taken."""
    with taken(f"a skill named {skill.name!r}"):
        await connection.execute(sa.insert(skills).values(to_row(skills, skill)))


async def find(connection: AsyncConnection, id_or_name: str) -> Skill | None:
    """By id or by name; an id wins."""
    row = (await connection.execute(_FIND, {"ref": id_or_name})).mappings().first()
    return None if row is None else from_row(Skill, row)


async def find_all(connection: AsyncConnection, ids_or_names: Sequence[str]) -> Sequence[Skill | None]:
    """Each by id or by name, as `find` would; None where there is none. One statement for all of them."""
    if not ids_or_names:
        return ()
    rows = (await connection.execute(_FIND_ALL, {"refs": ids_or_names})).mappings()
    found = [from_row(Skill, row) for row in rows]
    known: dict[str, Skill] = {skill.name: skill for skill in found} | {skill.id: skill for skill in found}
    return [known.get(ref) for ref in ids_or_names]


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
