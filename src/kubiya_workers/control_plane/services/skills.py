"""Skills: named bundles of tools. A configuration that its tools could not run with is refused when it is written."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.agent.skills import tools_for
from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.ids import SkillId, new_id
from kubiya_workers.contracts.skills import NewSkill, Skill, SkillPatch
from kubiya_workers.control_plane.store import agents
from kubiya_workers.control_plane.store import skills as store
from kubiya_workers.control_plane.store.database import Database

from .patches import patched


async def list_(database: Database, *, skip: int, limit: int) -> Sequence[Skill]:
    async with database.reading() as connection:
        return await store.list_(connection, skip=skip, limit=limit)


async def get(database: Database, ref: str) -> Skill:
    """By id or name. Raises `NotFound`."""
    async with database.reading() as connection:
        return await _find(connection, ref)


async def create(database: Database, new: NewSkill) -> Skill:
    """Raises `Invalid` for an unknown type or a wrong configuration, `Conflict` when the name is taken."""
    tools_for(new.type, new.configuration)
    now = datetime.now(UTC)
    skill = Skill(id=SkillId(new_id()), created_at=now, updated_at=now, **new.model_dump())
    async with database.writing() as connection:
        await store.insert(connection, skill)
    return skill


async def change(database: Database, ref: str, patch: SkillPatch) -> Skill:
    """Raises `NotFound`, `Invalid`, or `Conflict` for a new name of a built-in skill or one that is taken."""
    async with database.writing() as connection:
        old = await _find(connection, ref)
        new = patched(old, patch.changes())
        tools_for(new.type, new.configuration)
        if old.built_in and new.name != old.name:
            raise Conflict(f"the skill {old.name!r} is built in and keeps its name")
        await store.update(connection, new)
    return new


async def remove(database: Database, ref: str) -> None:
    """Raises `NotFound`, or `Conflict` for a built-in skill or one that an agent has."""
    async with database.writing() as connection:
        skill = await _find(connection, ref)
        if skill.built_in:
            raise Conflict(f"the skill {skill.name!r} is built in", fix="Disable it instead.")
        users = [agent.name for agent in await agents.list_(connection) if skill.id in agent.skill_ids]
        if users:
            raise Conflict(f"the skill {skill.name!r} is used by: {', '.join(users)}", fix="Take it from them first.")
        await store.delete(connection, skill.id)


async def _find(connection: AsyncConnection, ref: str) -> Skill:
    skill = await store.find(connection, ref)
    if skill is None:
        raise NotFound(f"no skill {ref!r}", fix="List them with: kubiya skill list")
    return skill
