"""Agents as people define them, and the snapshot of one that an execution runs with."""

from typing import Any

from pydantic import Field

from .ids import AgentId, EnvironmentId, SkillId
from .mcp import McpServer
from .messages import Price
from .tools import ToolSpec
from .wire import JsonObject, Timestamp, Wire

DEFAULT_AGENT = "default"
"""The built-in agent that runs a prompt when none is named; it has the shell and file skills."""


class ExecutionEnvironment(Wire):
    """Where and with what the tools of an agent, environment or execution run."""

    working_dir: str | None = None
    env_vars: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    mcp_servers: JsonObject = {}
    """By name, as people have them in files: `{"command", "args", "env"}` or `{"url", "headers"}`."""


class Agent(Wire):
    id: AgentId
    organization_id: str = "local"
    name: str
    description: str | None = None
    system_prompt: str | None = None
    status: str = "active"
    capabilities: tuple[str, ...] = ()
    configuration: JsonObject = {}
    model_id: str | None = None
    llm_config: JsonObject = {}
    runtime: str | None = None
    team_id: str | None = None
    environment_ids: tuple[EnvironmentId, ...] = ()
    skill_ids: tuple[SkillId, ...] = ()
    execution_environment: ExecutionEnvironment | None = None
    created_at: Timestamp
    updated_at: Timestamp


class NewAgent(Wire):
    """`skill_ids` may name skills by id or by name."""

    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    system_prompt: str | None = None
    capabilities: tuple[str, ...] = ()
    configuration: JsonObject = {}
    model_id: str | None = None
    llm_config: JsonObject = {}
    runtime: str | None = None
    team_id: str | None = None
    environment_ids: tuple[str, ...] = ()
    skill_ids: tuple[str, ...] = ()
    execution_environment: ExecutionEnvironment | None = None


class AgentPatch(Wire):
    """Only the fields that are set in the request are changed."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = None
    system_prompt: str | None = None
    status: str | None = None
    capabilities: tuple[str, ...] | None = None
    configuration: JsonObject | None = None
    model_id: str | None = None
    llm_config: JsonObject | None = None
    runtime: str | None = None
    team_id: str | None = None
    environment_ids: tuple[str, ...] | None = None
    skill_ids: tuple[str, ...] | None = None
    execution_environment: ExecutionEnvironment | None = None

    def changes(self) -> dict[str, Any]:
        """The fields that the request named, with their new values."""
        return self.model_dump(exclude_unset=True)


class Limits(Wire):
    """Hard budgets of one execution; None means no limit. Times in seconds, cost in US dollars."""

    max_model_calls: int | None = 100
    max_tool_calls: int | None = 200
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    max_wall_s: float | None = 86_400.0


class AgentSpec(Wire):
    """An agent as one execution runs it: resolved once at submit, so that later edits do not change a run."""

    name: str
    system_prompt: str = ""
    model: str
    model_is_default: bool = False
    price: Price | None = None
    """Of its model, when it was submitted."""
    tools: tuple[ToolSpec, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    """What these offer is asked of them by the run, on its worker."""
    limits: Limits = Limits()
    temperature: float | None = None
    max_output_tokens: int | None = None
    approval_timeout_s: float = 86_400.0
