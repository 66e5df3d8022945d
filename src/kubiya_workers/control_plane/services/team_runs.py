"""From an `execute` request for a team to all that its run needs: the coordinator, and each member as it is now."""

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.agent.teams import INSTRUCTIONS, delegate_tool
from kubiya_workers.contracts.agents import Agent
from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.executions import NewExecution
from kubiya_workers.contracts.ids import AgentId
from kubiya_workers.contracts.teams import Member, Team

from ..store import agents, teams
from ..store.database import Database
from .models import Models
from .runs import Kit, Place, Plan, check_models, is_interactive, kit_of, placed, spec_of


async def plan(database: Database, team_ref: str, new: NewExecution, models: Models, *, on_demand: bool) -> Plan:
    """As `runs.plan`. A model that the request names is everybody's; its limits are those of the whole.

    Raises:
        NotFound: no such team, queue or environment.
        Conflict: the team has no members, or one that was deleted; or there is no worker for it.
        Invalid: limits or a skill's configuration are wrong, or there is no such model.
    """
    async with database.reading() as connection:
        team = await teams.find(connection, team_ref)
        if team is None:
            raise NotFound(f"no team {team_ref!r}", fix="List them with: kubiya team list")
        found = [await _agent(connection, team, agent_id) for agent_id in team.members]
        place = await placed(connection, new, on_demand=on_demand)
    if not found:
        raise Conflict(f"team {team.name!r} has no members", fix=f"kubiya team update {team.name} --member AGENT")
    members = tuple(_member(agent, kit, team, new, place, models) for agent, kit in found)
    around = place.around((), team.execution_environment, new.execution_environment)
    coordinator = spec_of(
        team,
        models,
        (delegate_tool(members),),
        around.servers,
        model=new.model,
        system_prompt=new.system_prompt or team.system_prompt or INSTRUCTIONS,
        limits=new.limits,
    )
    if not new.skip_model_validation:
        await check_models(database, models, place.queue, coordinator, *(member.agent for member in members))
    return Plan(
        entity=team,
        agent=coordinator,
        queue=place.queue,
        workspace=around.workspace,
        interactive=is_interactive(new),
        demand=place.demand,
        members=members,
    )


async def _agent(connection: AsyncConnection, team: Team, agent_id: AgentId) -> tuple[Agent, Kit]:
    agent = await agents.find(connection, agent_id)
    if agent is None:
        raise Conflict(
            f"team {team.name!r} has a member {agent_id!r} that does not exist any more",
            fix=f"Say who its members are: kubiya team update {team.name} --member AGENT",
        )
    return agent, await kit_of(connection, agent)


def _member(agent: Agent, kit: Kit, team: Team, new: NewExecution, place: Place, models: Models) -> Member:
    around = place.around(kit.servers, agent.execution_environment, new.execution_environment)
    return Member(
        agent_id=agent.id,
        agent=spec_of(agent, models, kit.tools, around.servers, model=new.model, limits={}, fallback=team.model_id),
        description=agent.description,
        workspace=around.workspace,
    )
