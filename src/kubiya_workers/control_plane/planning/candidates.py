"""Who could run a prompt, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from kubiya_workers.contracts.agents import Agent
from kubiya_workers.contracts.environments import Environment
from kubiya_workers.contracts.errors import Invalid, NotFound
from kubiya_workers.contracts.plans import NewPlan
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.skills import Skill
from kubiya_workers.contracts.teams import Team

from ..store import agents, environments, queues, skills, teams
from ..store.database import Database

MOST = 100
"""Of each kind: more would be a prompt of their own."""


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class Candidates:
    """`queues` have a worker that takes work now, unless the user named the one. `left_out` counts agents over MOST."""

    agents: Sequence[Agent]
    queues: Sequence[Queue]
    environments: Sequence[Environment]
    skills: Sequence[Skill] = ()
    teams: Sequence[Team] = ()
    left_out: int = 0

    def skills_of(self, agent: Agent) -> list[str]:
        return [skill.name for skill in self.skills if skill.enabled and {skill.id, skill.name} & {*agent.skill_ids}]


def among(candidates: Sequence[N], ref: str | None) -> N | None:
    """The one of this id or name; where none is, the only one whose name differs in case and blanks alone."""
    if not ref:
        return None
    exact = next((one for one in candidates if ref in (one.id, one.name)), None)
    alike = [one for one in candidates if one.name.casefold() == ref.strip().casefold()]
    return exact or (alike[0] if len(alike) == 1 else None)


async def gathered(database: Database, new: NewPlan) -> Candidates:
    """What there is to choose from, or what the user has chosen.

    Raises:
        NotFound: what was named is not there.
        Invalid: both an agent and a team were named.
    """
    if new.agent is not None and new.team is not None:
        raise Invalid("an agent and a team were named: one of them runs a prompt")
    async with database.reading() as connection:
        every = await agents.list_(connection)
        named = None if new.agent is None else await agents.find(connection, new.agent)
        team = None if new.team is None else await teams.find(connection, new.team)
        all_teams = await teams.list_(connection, limit=MOST)
        queue = None if new.worker_queue_id is None else await queues.find(connection, new.worker_queue_id)
        home = None if new.environment_id is None else await environments.find(connection, new.environment_id)
        served = [one for one in await queues.list_(connection) if _serves(one)]
        places = await environments.list_(connection, limit=MOST)
        known_skills = await skills.list_(connection)
    _check("agent", new.agent, named, "kubiya agent list")
    _check("team", new.team, team, "kubiya team list")
    _check("worker queue", new.worker_queue_id, queue, "kubiya queue list")
    _check("environment", new.environment_id, home, "kubiya environment list")
    within = [one for one in served if home is None or one.environment_id == home.id]
    return Candidates(
        agents=_either(named, every[:MOST], is_free=team is None),
        teams=_either(team, all_teams, is_free=named is None),
        queues=within[:MOST] if queue is None else [queue],
        environments=places if home is None else [home],
        skills=known_skills,
        left_out=max(0, len(every) - MOST) if named is None and team is None else 0,
    )


def _either(named: N | None, every: Sequence[N], *, is_free: bool) -> Sequence[N]:
    """The one that was named, else all, unless one of the other kind was."""
    if named is not None:
        return [named]
    return every if is_free else []


def _serves(queue: Queue) -> bool:
    """Whether a worker takes work from it now. One that goes with its workers was made for something of its own."""
    return queue.active_workers > queue.paused_workers and not queue.ephemeral


def _check(kind: str, ref: str | None, found: object, command: str) -> None:
    if ref is not None and found is None:
        raise NotFound(f"no {kind} {ref!r}", fix=f"List them with: {command}")
