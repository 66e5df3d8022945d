"""Tools: what a model may call, the request that runs one, and what came of it."""

from enum import StrEnum
from typing import Literal

from .ids import ExecutionId
from .mcp import McpServer
from .messages import Usage
from .wire import JsonObject, Wire


class ToolClass(StrEnum):
    """How often a tool may run for one call."""

    PURE = "pure"
    """Changes nothing: may be retried freely."""
    RETRY_SAFE = "retry_safe"
    """Gets the same idempotency key each time: may be retried."""
    ONCE = "once"
    """Never retried: if the worker dies while it runs, the outcome is recorded as unknown."""


class Approval(StrEnum):
    """Whether a person must agree before a tool runs."""

    NEVER = "never"
    ALWAYS = "always"


class ToolSpec(Wire):
    """A tool as an agent has it: offered to the model, and enforced by the worker.

    `skill` is the skill type that implements it, `config` that skill's limits and lists.
    Times are in seconds, sizes in bytes.
    """

    name: str
    skill: str
    description: str
    parameters: JsonObject
    tool_class: ToolClass = ToolClass.ONCE
    approval: Approval = Approval.NEVER
    timeout_s: float = 300.0
    output_limit: int = 65_536
    config: JsonObject = {}


class ToolRequest(Wire):
    """One call of one tool; `idempotency_key` is the same for every attempt of it. `server` is the MCP server of a tool
    that has one."""

    execution_id: ExecutionId
    step: int
    call_id: str
    tool: str
    spec: ToolSpec | None
    """None when the model named a tool that this agent does not have."""
    arguments: str
    idempotency_key: str
    server: McpServer | None = None


class ToolStatus(StrEnum):
    SUCCESS = "success"
    FAILED = "failed"
    DENIED = "denied"
    UNKNOWN = "unknown"
    """The worker died while a `once` tool ran: it may or may not have taken effect."""


class Spent(Wire):
    """What a call used of the budgets of its run, beyond being a call: a member of a team calls models and tools."""

    usage: Usage = Usage()
    model_calls: int = 0
    tool_calls: int = 0


class ToolResult(Wire):
    """What came of one tool call: `content` is what the model reads, `output` what people and programs read."""

    call_id: str
    tool: str
    status: ToolStatus
    content: str
    output: JsonObject = {}
    error: str | None = None
    duration_ms: int = 0
    spent: Spent = Spent()

    @property
    def wire_status(self) -> Literal["success", "failed"]:
        """The two words that existing readers know."""
        return "success" if self.status is ToolStatus.SUCCESS else "failed"


class Workspace(Wire):
    """Where the tools of one execution run and all the environment they are given.

    Fetched by the worker from the control plane, never sent through Temporal: its history keeps everything.
    `secrets` names the variables in `env_vars` whose values are redacted wherever they appear.
    """

    working_dir: str | None = None
    env_vars: dict[str, str] = {}
    secrets: tuple[str, ...] = ()

    def secret_values(self) -> dict[str, str]:
        """Those of the variables that are secrets, by name."""
        return {name: self.env_vars[name] for name in self.secrets if name in self.env_vars}
