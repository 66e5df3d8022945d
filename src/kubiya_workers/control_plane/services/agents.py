"""Agents: defined at run time by people. What they refer to is resolved to ids and checked when they are written."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.agent import mcp
from kubiya_workers.contracts.agents import DEFAULT_AGENT, Agent, AgentPatch, NewAgent
from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound
from kubiya_workers.contracts.ids import AgentId, EnvironmentId, SkillId, new_id
from kubiya_workers.control_plane.store import agents as store
from kubiya_workers.control_plane.store import environments, skills, teams
from kubiya_workers.control_plane.store.database import Database

from .patches import patched


async def list_(database: Database, *, skip: int, limit: int) -> Sequence[Agent]:
    async with database.reading() as connection:
        return await store.list_(connection, skip=skip, limit=limit)


async def get(database: Database, ref: str) -> Agent:
    """By id or name. Raises `NotFound`."""
    async with database.reading() as connection:
        return await _find(connection, ref)


async def create(database: Database, new: NewAgent) -> Agent:
    """Raises `Invalid` for an unknown skill or environment or a wrong MCP server, `Conflict` when the name is taken."""
    mcp.check_environment(new.execution_environment)
    now = datetime.now(UTC)
    fields = new.model_dump()
    async with database.writing() as connection:
        fields["skill_ids"] = await _skill_ids(connection, new.skill_ids)
        fields["environment_ids"] = await environment_ids(connection, new.environment_ids)
        agent = Agent(id=AgentId(new_id()), created_at=now, updated_at=now, **fields)
        await store.insert(connection, agent)
    return agent


async def change(database: Database, ref: str, patch: AgentPatch) -> Agent:
    """Raises `NotFound`, `Invalid`, or `Conflict` for a name that is taken or the default agent's own."""
    changes = patch.changes()
    mcp.check_environment(patch.execution_environment)
    async with database.writing() as connection:
        old = await _find(connection, ref)
        if patch.skill_ids is not None:
            changes["skill_ids"] = await _skill_ids(connection, patch.skill_ids)
        if patch.environment_ids is not None:
            changes["environment_ids"] = await environment_ids(connection, patch.environment_ids)
        new = patched(old, changes)
        if old.name == DEFAULT_AGENT and new.name != old.name:
            raise Conflict("the default agent keeps its name: it runs whatever names no agent")
        await store.update(connection, new)
    return new


async def remove(database: Database, ref: str) -> None:
    """Raises `NotFound`, or `Conflict` for the default agent and for a team's member."""
    async with database.writing() as connection:
        agent = await _find(connection, ref)
        if agent.name == DEFAULT_AGENT:
            raise Conflict(
                "the default agent cannot be deleted: it runs whatever names no agent", fix="Change it instead."
            )
        if found := [team.name for team in await teams.list_(connection) if agent.id in team.members]:
            raise Conflict(
                f"agent {agent.name!r} is a member of team {', '.join(found)}",
                fix=f"Say first who is to be its members: kubiya team update {found[0]} --member AGENT",
            )
        await store.delete(connection, agent.id)


async def _find(connection: AsyncConnection, ref: str) -> Agent:
    agent = await store.find(connection, ref)
    if agent is None:
        raise NotFound(f"no agent {ref!r}", fix="List them with: kubiya agent list")
    return agent


async def _skill_ids(connection: AsyncConnection, refs: Sequence[str]) -> tuple[SkillId, ...]:
    found = {ref: await skills.find(connection, ref) for ref in refs}
    missing = [ref for ref, skill in found.items() if skill is None]
    if missing:
        raise Invalid(f"no skill {missing[0]!r}", fix="List them with: kubiya skill list")
    return tuple(dict.fromkeys(skill.id for skill in found.values() if skill is not None))


async def environment_ids(connection: AsyncConnection, refs: Sequence[str]) -> tuple[EnvironmentId, ...]:
    """The ids of environments that are named by id or name. Raises `Invalid` for one that is not there."""
    found = {ref: await environments.find(connection, ref) for ref in refs}
    missing = [ref for ref, environment in found.items() if environment is None]
    if missing:
        raise Invalid(f"no environment {missing[0]!r}")
    return tuple(dict.fromkeys(environment.id for environment in found.values() if environment is not None))
