"""Teams: agents that work on one task together, what one of them is asked, and what a run keeps of each."""

from typing import Any

from pydantic import Field

from .agents import AgentSpec, ExecutionEnvironment, Limits
from .ids import AgentId, EnvironmentId, TeamId
from .tools import Workspace
from .wire import JsonObject, Timestamp, Wire

MOST_MEMBERS = 50
"""All of them are told to the model that coordinates them, before each of its answers."""


class Team(Wire):
    """`members` are agents; `model_id` is the coordinator's, and that of members which name none themselves."""

    id: TeamId
    organization_id: str = "local"
    name: str
    description: str | None = None
    system_prompt: str | None = None
    status: str = "active"
    members: tuple[AgentId, ...] = ()
    configuration: JsonObject = {}
    model_id: str | None = None
    llm_config: JsonObject = {}
    environment_ids: tuple[EnvironmentId, ...] = ()
    execution_environment: ExecutionEnvironment | None = None
    created_at: Timestamp
    updated_at: Timestamp


class NewTeam(Wire):
    """`members` may name agents by id or by name."""

    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    system_prompt: str | None = None
    members: tuple[str, ...] = Field(default=(), max_length=MOST_MEMBERS)
    configuration: JsonObject = {}
    model_id: str | None = None
    llm_config: JsonObject = {}
    environment_ids: tuple[str, ...] = ()
    execution_environment: ExecutionEnvironment | None = None


class TeamPatch(Wire):
    """Only the fields that are set in the request are changed."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = None
    system_prompt: str | None = None
    status: str | None = None
    members: tuple[str, ...] | None = Field(default=None, max_length=MOST_MEMBERS)
    configuration: JsonObject | None = None
    model_id: str | None = None
    llm_config: JsonObject | None = None
    environment_ids: tuple[str, ...] | None = None
    execution_environment: ExecutionEnvironment | None = None

    def changes(self) -> dict[str, Any]:
        """The fields that the request named, with their new values."""
        return self.model_dump(exclude_unset=True)


class Member(Wire):
    """An agent of a team as one run of it has it: resolved once at submit, as the coordinator is.

    Kept beside the stored run, never sent through Temporal: the workspace holds secrets.
    """

    agent_id: AgentId
    agent: AgentSpec
    description: str | None = None
    workspace: Workspace = Workspace()

    @property
    def name(self) -> str:
        return self.agent.name


class Delegation(Wire):
    """A task that a coordinator gives to a member, in a step of its run.

    `limits` is what the run can spare; the member's own limits hold beside them.
    """

    step: int = Field(ge=1)
    member: str
    task: str
    limits: Limits = Limits()
