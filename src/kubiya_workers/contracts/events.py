"""The events of a run: facts, which are stored for good, and deltas, which a later fact repeats as a whole.

Identity. A step writes each kind of fact once an attempt, so `(step, attempt, type)` names a fact and a resent one
is recognised (`fact_key`). A delta is named by its part and its offset in characters. A higher attempt of a step
supersedes a lower one; readers never show both.

Wire shape. `to_wire` and `from_wire` translate to the shapes that existing readers know: some types nest their
fields in another `data` object, and every event carries `timestamp`, `step` and `attempt`.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, TypeAdapter

from .executions import Status
from .ids import ExecutionId
from .messages import ToolCall, Usage
from .tools import ToolRequest, ToolResult
from .wire import JsonObject, Timestamp, Wire


def _now() -> datetime:
    return datetime.now(UTC)


class _Event(Wire):
    step: int = 0
    """The step that made it, counted from 1; 0 for what the control plane or the workflow itself says."""
    attempt: int = 1
    timestamp: Timestamp = Field(default_factory=_now)


class StatusChanged(_Event):
    type: Literal["status"] = "status"
    status: Status
    previous_status: Status | None = None
    reason: str | None = None


class ModelStarted(_Event):
    """A model call began: the first event of its attempt, so that an older attempt is refused from here on."""

    type: Literal["model_started"] = "model_started"
    model: str


class MessageAdded(_Event):
    """A whole message; for the assistant's, the fact that ends its step."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system"]
    content: str
    message_id: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    """With `model`, for the assistant's: so that the fact alone is the whole result of its step."""


class ToolStarted(_Event):
    """A tool call began. `member_execution_id` names the run of the member that a delegation gives its task to."""

    type: Literal["tool_started"] = "tool_started"
    tool_name: str
    tool_execution_id: str
    tool_input: JsonObject = {}
    member_execution_id: ExecutionId | None = None

    @classmethod
    def of(cls, request: ToolRequest, attempt: int, tool_input: JsonObject) -> Self:
        return cls(
            step=request.step,
            attempt=attempt,
            tool_name=request.tool,
            tool_execution_id=f"tool-{request.step}",
            tool_input=tool_input,
        )


class ToolCompleted(_Event):
    """The end of a tool call and of its step. `content` is what the model reads; `outcome` tells unknown and denied
    apart from failed, which `tool_status` cannot."""

    type: Literal["tool_completed"] = "tool_completed"
    tool_name: str
    tool_execution_id: str
    tool_status: Literal["success", "failed"]
    tool_output: JsonObject = {}
    tool_error: str | None = None
    duration_ms: int = 0
    call_id: str = ""
    outcome: str = ""
    content: str = ""

    @classmethod
    def of(cls, request: ToolRequest, attempt: int, result: ToolResult) -> Self:
        return cls(
            step=request.step,
            attempt=attempt,
            tool_name=request.tool,
            tool_execution_id=f"tool-{request.step}",
            tool_status=result.wire_status,
            tool_output=result.output,
            tool_error=result.error,
            duration_ms=result.duration_ms,
            call_id=result.call_id,
            outcome=result.status,
            content=result.content,
        )


class ApprovalRequested(_Event):
    type: Literal["approval_requested"] = "approval_requested"
    approval_id: str
    tool_name: str
    tool_input: JsonObject = {}
    expires_at: Timestamp


class ApprovalResolved(_Event):
    type: Literal["approval_resolved"] = "approval_resolved"
    approval_id: str
    decision: Literal["approved", "denied", "expired"]
    by: str | None = None
    reason: str | None = None


class UsageReported(_Event):
    type: Literal["usage"] = "usage"
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None


class Degraded(_Event):
    """Something does not work as it should although the run goes on."""

    type: Literal["degraded"] = "degraded"
    reason: str


class ErrorRaised(_Event):
    type: Literal["error"] = "error"
    error: str
    error_type: str
    execution_id: ExecutionId
    status: str


class Done(_Event):
    """The last event of a run."""

    type: Literal["done"] = "done"
    execution_id: ExecutionId
    status: Status
    response: str = ""
    usage: Usage = Usage()
    metadata: JsonObject = {}


class MessageChunk(_Event):
    type: Literal["message_chunk"] = "message_chunk"
    message_id: str
    content: str
    offset: int
    """Where `content` begins in its part, in characters."""

    @property
    def part(self) -> str:
        return f"{self.step}.{self.attempt}.m"


class ReasoningChunk(_Event):
    type: Literal["reasoning_chunk"] = "reasoning_chunk"
    message_id: str
    content: str
    offset: int

    @property
    def part(self) -> str:
        return f"{self.step}.{self.attempt}.r"


class ToolOutputChunk(_Event):
    type: Literal["tool_output_chunk"] = "tool_output_chunk"
    tool_execution_id: str
    content: str
    offset: int

    @property
    def part(self) -> str:
        return f"{self.step}.{self.attempt}.o"


class Connected(Wire):
    """The first line of every stream; not stored."""

    type: Literal["connected"] = "connected"
    execution_id: ExecutionId
    timestamp: Timestamp = Field(default_factory=_now)


class HistoryComplete(Wire):
    """The stored past ends here and live events follow; not stored."""

    type: Literal["history_complete"] = "history_complete"
    execution_id: ExecutionId
    message_count: int
    timestamp: Timestamp = Field(default_factory=_now)


class GapDetected(Wire):
    """The reader was too slow: what it missed between two sequence numbers is replayed next; not stored."""

    type: Literal["gap_detected"] = "gap_detected"
    from_: int = Field(alias="from")
    to: int
    timestamp: Timestamp = Field(default_factory=_now)


Fact = (
    StatusChanged
    | ModelStarted
    | MessageAdded
    | ToolStarted
    | ToolCompleted
    | ApprovalRequested
    | ApprovalResolved
    | UsageReported
    | Degraded
    | ErrorRaised
    | Done
)
Delta = MessageChunk | ReasoningChunk | ToolOutputChunk
Marker = Connected | HistoryComplete | GapDetected

RunEvent = Annotated[Fact | Delta, Field(discriminator="type")]
StreamEvent = Annotated[Fact | Delta | Marker, Field(discriminator="type")]
"""Everything a reader of a stream can meet."""

RUN_EVENT: TypeAdapter[Fact | Delta] = TypeAdapter(RunEvent)
STREAM_EVENT: TypeAdapter[Fact | Delta | Marker] = TypeAdapter(StreamEvent)

_NESTED = frozenset({"message_chunk", "reasoning_chunk", "tool_started", "tool_output_chunk", "tool_completed"})
_ENVELOPE = ("timestamp", "step", "attempt")

EVENT_TYPES = frozenset(
    {"connected", "history_complete", "gap_detected", "status", "model_started", "message", "tool_started"}
    | {"tool_completed", "approval_requested", "approval_resolved", "usage", "degraded", "error", "done"}
    | {"message_chunk", "reasoning_chunk", "tool_output_chunk"}
)


def fact_key(fact: Fact) -> str:
    """The name of a fact within its execution: a second fact of the same name is the same fact, resent."""
    match fact:
        case ApprovalRequested() | ApprovalResolved():
            return f"{fact.type}:{fact.approval_id}"
        case Done():
            return "done"
        case MessageAdded(step=0):
            return f"message:{fact.message_id}"
        case StatusChanged() | Degraded():
            return f"{fact.type}:{fact.step}.{fact.attempt}:{fact.timestamp.isoformat()}"
        case _:
            return f"{fact.type}:{fact.step}.{fact.attempt}"


def closes_step(fact: Fact) -> bool:
    """Whether this fact ends its step: it repeats all that the step's deltas said, and carries the step's result."""
    return fact.step > 0 and isinstance(fact, MessageAdded | ToolCompleted)


def to_wire(event: Fact | Delta | Marker) -> dict[str, Any]:
    """The `data` object of a stream event, in the shape that readers know."""
    fields = event.model_dump(mode="json", exclude={"type"}, by_alias=True)
    if event.type not in _NESTED:
        return fields
    envelope = {name: fields.pop(name) for name in _ENVELOPE if name in fields}
    return {"data": fields, **envelope}


def from_wire(event_type: str, data: dict[str, Any]) -> Fact | Delta | Marker | None:
    """The event that `data` tells of, or None for a type that this version does not know.

    Raises:
        pydantic.ValidationError: the type is known and its fields are wrong.
    """
    if event_type not in EVENT_TYPES:
        return None
    nested = data.get("data")
    flat: dict[str, Any] = {**data, **cast("dict[str, Any]", nested)} if isinstance(nested, dict) else data
    return STREAM_EVENT.validate_python({**flat, "type": event_type})
