"""The activities of a run: their names, inputs and outputs. The workflow knows no more of them than this."""

from typing import Literal

from .events import RunEvent
from .ids import ExecutionId
from .mcp import McpServer
from .messages import AssistantMessage, Message, Price, Usage
from .teams import Delegation
from .tools import ToolRequest, ToolSpec, ToolStatus
from .wire import JsonObject, Wire

EXECUTION_WORKFLOW = "kubiya.execution"
CALL_MODEL = "kubiya.call_model"
CALL_TOOL = "kubiya.call_tool"
SETTLE_TOOL = "kubiya.settle_tool"
LIST_TOOLS = "kubiya.list_tools"
DELEGATE = "kubiya.delegate"
ANNOUNCE = "kubiya.announce"

SIGNAL_MESSAGE = "message"
SIGNAL_PAUSE = "pause"
SIGNAL_RESUME = "resume"
SIGNAL_MARK_DONE = "mark_done"
SIGNAL_APPROVAL = "approval"


class ModelCall(Wire):
    """One model call: step number, the whole conversation so far, and the tools on offer."""

    execution_id: ExecutionId
    step: int
    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    max_output_tokens: int | None = None
    has_secrets: bool = False
    has_budget: bool = False
    model_is_default: bool = False
    """Nobody asked for this model: a worker with a gateway of its own may use its default instead."""
    price: Price | None = None
    answer_schema: JsonObject | None = None
    """The answer is to be JSON of this schema."""


class ModelReply(Wire):
    message: AssistantMessage
    usage: Usage = Usage()
    model: str
    finish_reason: str = "stop"


class Settlement(Wire):
    """A tool call that ends without running (again): say what came of it.

    `attempts` is how many times it may have been begun; `outcome` is recorded, with `why`, unless an attempt
    turns out to have finished after all.
    """

    request: ToolRequest
    attempts: int
    outcome: ToolStatus
    why: str


class ToolListing(Wire):
    """Asks what the servers of a run offer; `taken` are the names of the tools that its agent has anyway."""

    execution_id: ExecutionId
    servers: tuple[McpServer, ...]
    taken: tuple[str, ...] = ()


class ServerFault(Wire):
    """Why a server is of no use to a run, in words for people. `passing`: it may be there in a moment."""

    server: str
    reason: str
    passing: bool = False


class ToolsListed(Wire):
    """What the servers of a run offer. `notes` tell of tools that were left out."""

    tools: tuple[ToolSpec, ...] = ()
    faults: tuple[ServerFault, ...] = ()
    notes: tuple[str, ...] = ()


class MemberRequest(Wire):
    """A member's run that is to be stored; the workflow starts it once it is."""

    execution_id: ExecutionId
    """The team's."""
    delegation: Delegation


class Announcement(Wire):
    """Facts that the workflow itself makes: status changes, approvals and delegations."""

    execution_id: ExecutionId
    events: tuple[RunEvent, ...]


class ApprovalSignal(Wire):
    """A person's answer, as the control plane signals it to the workflow."""

    approval_id: str
    decision: Literal["approved", "denied"]
    by: str | None = None
    reason: str | None = None
