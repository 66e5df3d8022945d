"""What every control plane has from its first start: an environment, the built-in skills and the default agent."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.agents import DEFAULT_AGENT, Agent
from kubiya_workers.contracts.environments import DEFAULT_ENVIRONMENT, Environment
from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.ids import AgentId, EnvironmentId, SkillId, new_id
from kubiya_workers.contracts.skills import Skill
from kubiya_workers.control_plane.store import agents, environments, skills
from kubiya_workers.control_plane.store.database import Database

BUILT_IN_SKILLS = {
    "shell": "Run commands in a shell.",
    "file_system": "Read, write, list and search files inside the working directory.",
    "http": "Send HTTP requests.",
}
_DEFAULT_AGENT_SKILLS = ("shell", "file_system")

DEFAULT_PROMPT = """\
You carry out tasks on a real machine with the tools you are given.
- Find out instead of guessing: look at files and run commands before you answer.
- Do what was asked and no more; ask before anything that destroys data and was not asked for.
- When a tool fails, read its error and try another way; say so when there is none.
- Report only what you saw. End with a short answer: what you did and what came of it.
"""


async def seed(database: Database) -> None:
    """Add what is missing; what is there stays as people have made it."""
    if await _is_complete(database):
        return
    try:
        async with database.writing() as connection:
            await _add_missing(connection)
    except Conflict:
        # Another control plane starts at the same time and was first with the same.
        return


async def _is_complete(database: Database) -> bool:
    """Read first: a start that has nothing to add takes no write lock."""
    async with database.reading() as connection:
        present = {skill.name for skill in await skills.list_(connection)}
        return (
            BUILT_IN_SKILLS.keys() <= present
            and await environments.find(connection, DEFAULT_ENVIRONMENT) is not None
            and await agents.find(connection, DEFAULT_AGENT) is not None
        )


async def _add_missing(connection: AsyncConnection) -> None:
    now = datetime.now(UTC)
    if await environments.find(connection, DEFAULT_ENVIRONMENT) is None:
        await environments.insert(connection, _environment(now))
    for name, description in BUILT_IN_SKILLS.items():
        if await skills.find(connection, name) is None:
            await skills.insert(connection, _skill(name, description, now))
    if await agents.find(connection, DEFAULT_AGENT) is None:
        owned = [await skills.find(connection, name) for name in _DEFAULT_AGENT_SKILLS]
        skill_ids = tuple(skill.id for skill in owned if skill is not None)
        await agents.insert(connection, _agent(skill_ids, now))


def _environment(now: datetime) -> Environment:
    environment_id = EnvironmentId(new_id())
    return Environment(
        id=environment_id, name=DEFAULT_ENVIRONMENT, display_name="Default", created_at=now, updated_at=now
    )


def _skill(name: str, description: str, now: datetime) -> Skill:
    return Skill(
        id=SkillId(new_id()),
        name=name,
        description=description,
        type=name,
        built_in=True,
        created_at=now,
        updated_at=now,
    )


def _agent(skill_ids: tuple[SkillId, ...], now: datetime) -> Agent:
    return Agent(
        id=AgentId(new_id()),
        name=DEFAULT_AGENT,
        description="Runs whatever names no agent, with a shell and the files of the working directory.",
        system_prompt=DEFAULT_PROMPT,
        skill_ids=skill_ids,
        created_at=now,
        updated_at=now,
    )
