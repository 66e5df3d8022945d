"""Teams: made of agents, which are resolved to ids and checked when a team is written."""

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.agent import mcp
from kubiya_workers.contracts.errors import Invalid, NotFound
from kubiya_workers.contracts.ids import AgentId, TeamId, new_id
from kubiya_workers.contracts.teams import NewTeam, Team, TeamPatch
from kubiya_workers.control_plane.store import agents
from kubiya_workers.control_plane.store import teams as store
from kubiya_workers.control_plane.store.database import Database

from .agents import environment_ids
from .patches import patched


async def list_(database: Database, *, skip: int, limit: int) -> Sequence[Team]:
    async with database.reading() as connection:
        return await store.list_(connection, skip=skip, limit=limit)


async def get(database: Database, ref: str) -> Team:
    """By id or name. Raises `NotFound`."""
    async with database.reading() as connection:
        return await _find(connection, ref)


async def create(database: Database, new: NewTeam) -> Team:
    """Raises `Invalid` for an unknown agent or environment or a wrong MCP server, `Conflict` when the name is taken."""
    mcp.check_environment(new.execution_environment)
    now = datetime.now(UTC)
    fields = new.model_dump()
    async with database.writing() as connection:
        fields["members"] = await _member_ids(connection, new.members)
        fields["environment_ids"] = await environment_ids(connection, new.environment_ids)
        team = Team(id=TeamId(new_id()), created_at=now, updated_at=now, **fields)
        await store.insert(connection, team)
    return team


async def change(database: Database, ref: str, patch: TeamPatch) -> Team:
    """Raises `NotFound`, `Invalid`, or `Conflict` for a name that is taken."""
    changes = patch.changes()
    mcp.check_environment(patch.execution_environment)
    async with database.writing() as connection:
        old = await _find(connection, ref)
        if patch.members is not None:
            changes["members"] = await _member_ids(connection, patch.members)
        if patch.environment_ids is not None:
            changes["environment_ids"] = await environment_ids(connection, patch.environment_ids)
        new = patched(old, changes)
        await store.update(connection, new)
    return new


async def remove(database: Database, ref: str) -> None:
    """Its members and its runs stay. Raises `NotFound`."""
    async with database.writing() as connection:
        await store.delete(connection, (await _find(connection, ref)).id)


async def _find(connection: AsyncConnection, ref: str) -> Team:
    team = await store.find(connection, ref)
    if team is None:
        raise NotFound(f"no team {ref!r}", fix="List them with: kubiya team list")
    return team


async def _member_ids(connection: AsyncConnection, refs: Sequence[str]) -> tuple[AgentId, ...]:
    found = {ref: await agents.find(connection, ref) for ref in refs}
    for ref in (ref for ref, agent in found.items() if agent is None):
        known = [agent.name for agent in await agents.list_(connection)]
        nearest = get_close_matches(ref, known, n=3, cutoff=0.5)
        meant = f"Did you mean {' or '.join(nearest)}? " if nearest else ""
        raise Invalid(f"no agent {ref!r}", fix=f"{meant}List them with: kubiya agent list")
    return tuple(dict.fromkeys(agent.id for agent in found.values() if agent is not None))
