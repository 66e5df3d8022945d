"""Which MCP servers a run has, and which of its variables are secrets because of them."""

from typing import Any

import pytest

from kubiya_workers.contracts.agents import AgentSpec, NewAgent
from kubiya_workers.contracts.environments import EnvironmentPatch
from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.executions import NewExecution
from kubiya_workers.contracts.queues import NewQueue
from kubiya_workers.contracts.skills import NewSkill, SkillPatch
from kubiya_workers.contracts.teams import NewTeam, TeamPatch
from kubiya_workers.control_plane.services import agents, environments, queues, runs, skills, team_runs, teams
from kubiya_workers.control_plane.services.seeds import seed
from kubiya_workers.control_plane.store.database import Database

from .conftest import Models

NOTES = {"command": "notes", "env": {"NOTES_TOKEN": "${TOKEN}"}}


@pytest.fixture
async def written(database: Database) -> Database:
    """A server in a skill, one of an agent's, one of an environment's, and one of a team's."""
    await seed(database)
    await queues.create(database, "default", NewQueue(name="q"))
    around: dict[str, Any] = {"mcp_servers": {"everywhere": {"command": "e"}, "both": {"command": "environment's"}}}
    await environments.change(database, "default", EnvironmentPatch.model_validate({"execution_environment": around}))
    await skills.create(database, NewSkill(name="notes", type="mcp", configuration=NOTES))
    own: dict[str, Any] = {"env_vars": {"TOKEN": "t0p-secret"}, "mcp_servers": {"both": {"command": "agent's"}}}
    writer = {"name": "writer", "skill_ids": ["notes"], "execution_environment": own}
    await agents.create(database, NewAgent.model_validate(writer))
    team = {
        "name": "crew",
        "members": ["writer"],
        "execution_environment": {"mcp_servers": {"crews": {"command": "c"}}},
    }
    await teams.create(database, NewTeam.model_validate(team))
    return database


def asked(**servers: Any) -> NewExecution:
    environment = {"mcp_servers": servers}
    return NewExecution.model_validate({"prompt": "go", "worker_queue_id": "q", "execution_environment": environment})


def commands(agent: AgentSpec) -> dict[str, str]:
    return {server.name: server.config["command"] for server in agent.mcp_servers}


async def test_a_run_has_the_servers_of_its_skills_and_of_every_layer(written: Database) -> None:
    plan = await runs.plan(written, "writer", asked(extra={"command": "x"}), Models(), on_demand=False)
    expected = {"notes": "notes", "everywhere": "e", "both": "agent's", "extra": "x"}
    assert commands(plan.agent) == expected
    assert plan.workspace.secrets == ("TOKEN",), "what a server is given as a token is a secret"
    plan = await runs.plan(written, "writer", asked(both={"command": "the run's"}), Models(), on_demand=False)
    assert commands(plan.agent)["both"] == "the run's"
    assert "t0p-secret" not in plan.agent.model_dump_json()
    await skills.change(written, "notes", SkillPatch(enabled=False))
    plan = await runs.plan(written, "writer", asked(), Models(), on_demand=False)
    assert "notes" not in commands(plan.agent) and plan.workspace.secrets == ()


async def test_members_have_their_own_and_a_coordinator_its_teams(written: Database) -> None:
    plan = await team_runs.plan(written, "crew", asked(), Models(), on_demand=False)
    assert commands(plan.agent) == {"everywhere": "e", "both": "environment's", "crews": "c"}
    (writer,) = plan.members
    assert commands(writer.agent) == {"notes": "notes", "everywhere": "e", "both": "agent's"}
    assert (plan.workspace.secrets, writer.workspace.secrets) == ((), ("TOKEN",))


async def test_a_server_that_cannot_be_is_refused_wherever_it_is_named(written: Database) -> None:
    wrong = {"execution_environment": {"mcp_servers": {"it": {"url": "nowhere"}}}}
    with pytest.raises(Invalid, match="'url' of MCP server 'it'"):
        await teams.change(written, "crew", TeamPatch.model_validate(wrong))
    with pytest.raises(Invalid, match="'url' of MCP server 'it'"):
        await runs.plan(written, "writer", asked(it={"url": "nowhere"}), Models(), on_demand=False)
