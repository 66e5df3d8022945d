"""Executions: their states, the one table of transitions, and the shapes of the API."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field

from .agents import AgentSpec, ExecutionEnvironment
from .errors import Conflict
from .ids import ExecutionId, JobId, KeyId, QueueId, WorkerId
from .messages import AssistantMessage, Message, ToolCall, Usage
from .priorities import NORMAL, Priority
from .tools import ToolSpec
from .wire import JsonObject, Timestamp, Wire


class Status(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING_FOR_INPUT = "waiting_for_input"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return not TRANSITIONS[self]


class FailureReason(StrEnum):
    """Why an execution failed, for programs; the error message says it for people."""

    MODEL_ERROR = "model_error"
    TOOL_ERROR = "tool_error"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    POLICY_DENIED = "policy_denied"
    INTERNAL = "internal"


_LIVE = frozenset({Status.RUNNING, Status.WAITING_FOR_INPUT, Status.PAUSED})
_ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: _LIVE | _ENDED,
    Status.RUNNING: frozenset({Status.WAITING_FOR_INPUT, Status.PAUSED}) | _ENDED,
    Status.WAITING_FOR_INPUT: frozenset({Status.RUNNING, Status.PAUSED}) | _ENDED,
    Status.PAUSED: frozenset({Status.RUNNING, Status.WAITING_FOR_INPUT}) | _ENDED,
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""pending → running ⇄ waiting_for_input | paused → completed | failed | cancelled; terminal states are immutable."""


def advance(old: Status, new: Status) -> Status:
    """The new status.

    Raises:
        Conflict: `old` may not become `new`.
    """
    if new not in TRANSITIONS[old]:
        raise Conflict(f"an execution that is {old} cannot become {new}")
    return new


SORTS = ("created_at", "started_at", "completed_at", "status", "agent")
"""What a list of executions may be sorted by; descending after a `-`."""


class Execution(Wire):
    id: ExecutionId
    execution_id: ExecutionId
    execution_type: Literal["agent", "team"] = "agent"
    entity_id: str
    entity_name: str | None = None
    prompt: str
    system_prompt: str | None = None
    status: Status
    status_reason: str | None = None
    """What a run that does not move waits for, in words for people."""
    response: str | None = None
    error_message: str | None = None
    failure_reason: FailureReason | None = None
    model: str | None = None
    usage: Usage = Usage()
    execution_metadata: JsonObject = {}
    worker_queue_id: QueueId | None = None
    worker_id: WorkerId | None = None
    parent_execution_id: ExecutionId | None = None
    team_name: str | None = None
    """The team whose run it is, or whose run delegated it."""
    key_id: KeyId | None = None
    """The key that it was submitted with."""
    priority: Priority | None = None
    """Told of one execution that is looked at; lists leave it out."""
    job_id: JobId | None = None
    """The job that it is a firing of."""
    created_at: Timestamp
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    updated_at: Timestamp

    @property
    def is_delegated(self) -> bool:
        """Whether it is a member's part of a team's run, its parent: that one alone starts it."""
        return self.execution_type == "agent" and self.team_name is not None


class NewExecution(Wire):
    """The body of `execute`; `limits` and `model` win over the agent's own.

    Without a queue it goes to one with a live worker, in the environment that `environment_id` names (by id or name)
    if it does, or to a worker that is started for it; `keep_on_failure` leaves that one for inspection.
    """

    prompt: str
    worker_queue_id: str | None = None
    environment_id: str | None = None
    keep_on_failure: bool = False
    stream: bool = True
    system_prompt: str | None = None
    user_metadata: JsonObject = {}
    parent_execution_id: ExecutionId | None = None
    execution_environment: ExecutionEnvironment | None = None
    execution_metadata: JsonObject = {}
    model: str | None = None
    skip_model_validation: bool = False
    limits: JsonObject = {}
    priority: Priority = NORMAL


class Submitted(Wire):
    """The answer of `execute`."""

    id: ExecutionId
    execution_id: ExecutionId
    workflow_id: str
    status: Status
    message: str


class ExecutionPatch(Wire):
    """What may be changed of an execution: labels of its user's; named ones are set, null ones removed."""

    execution_metadata: JsonObject


class SessionMessage(Wire):
    """One message of a run, with the tool calls that it asked for."""

    role: Literal["user", "assistant", "system"]
    content: str
    message_id: str
    timestamp: Timestamp
    tool_calls: tuple[ToolCall, ...] = ()


class Session(Wire):
    """A run as a conversation."""

    execution_id: ExecutionId
    status: Status
    messages: tuple[SessionMessage, ...]


class UserInput(Wire):
    """A follow-up message to a run."""

    message: str = Field(min_length=1)


class ApprovalAnswer(Wire):
    """A person's word on a tool call that waits for it."""

    decision: Literal["approved", "denied"]
    reason: str | None = None
    by: str | None = None


class OpenCall(Wire):
    """A tool call that the model asked for and nobody answered yet. `approved` is None until somebody decides."""

    step: int
    call: ToolCall
    approved: bool | None = None


class RunState(Wire):
    """Everything the loop decides on; it is also what a run hands over when it continues as new.

    `step` is the number of the last step that was given out. `elapsed_s` is the wall time of the earlier
    parts of a run that continued as new.
    """

    messages: tuple[Message, ...]
    step: int = 0
    open_calls: tuple[OpenCall, ...] = ()
    mcp_tools: tuple[ToolSpec, ...] | None = None
    """What the agent's MCP servers offer; None until they were asked. The same for the whole run."""
    usage: Usage = Usage()
    model_calls: int = 0
    tool_calls: int = 0
    elapsed_s: float = 0.0

    @property
    def response(self) -> str:
        """The newest text of the assistant: the answer, or what there is of one."""
        said = (m.content for m in reversed(self.messages) if isinstance(m, AssistantMessage) and m.content)
        return next(said, "")


class RunStart(Wire):
    """The input of the execution workflow."""

    execution_id: ExecutionId
    agent: AgentSpec
    prompt: str
    priority: Priority = NORMAL
    """Of its workflow, whose activities and continuations inherit it."""
    interactive: bool = False
    """Whether the run waits for a follow-up message after an answer, instead of completing."""
    has_secrets: bool = False
    """Whether the workspace holds secrets, whose values are then redacted in all that the model says too."""
    has_budget: bool = False
    """Each model call waits until the control plane has said that there is budget for it."""
    handover_events: int | None = None
    """Continue as new after this many history events; None leaves it to Temporal's suggestion."""
    carried: RunState | None = None
    """The state of the part before, when the run continued as new."""


class RunOutcome(Wire):
    """The result of the execution workflow; a failed run is a result too, so that its partial output is kept."""

    status: Literal[Status.COMPLETED, Status.FAILED, Status.CANCELLED]
    response: str = ""
    failure_reason: FailureReason | None = None
    error: str | None = None
    usage: Usage = Usage()
    model_calls: int = 0
    tool_calls: int = 0
