"""The decision at the heart of a run.

user or tool message last          → CallModel
tool calls open, approval needed   → AskApproval
tool calls open                    → CallTools (refused ones are answered without running)
answer, and somebody may reply     → AwaitMessage
answer                             → Finish
a budget is used up                → Fail
"""

from dataclasses import dataclass

from kubiya_workers.contracts.agents import AgentSpec
from kubiya_workers.contracts.executions import FailureReason, OpenCall, RunState
from kubiya_workers.contracts.messages import AssistantMessage
from kubiya_workers.contracts.tools import Approval, ToolSpec

from .limits import exhausted, too_many_tools


@dataclass(frozen=True)
class CallModel:
    step: int


@dataclass(frozen=True)
class CallTools:
    calls: tuple[OpenCall, ...]


@dataclass(frozen=True)
class AskApproval:
    calls: tuple[OpenCall, ...]


@dataclass(frozen=True)
class AwaitMessage:
    pass


@dataclass(frozen=True)
class Finish:
    response: str


@dataclass(frozen=True)
class Fail:
    reason: FailureReason
    error: str


NextStep = CallModel | CallTools | AskApproval | AwaitMessage | Finish | Fail


def next_step(state: RunState, agent: AgentSpec, *, elapsed_s: float, interactive: bool = False) -> NextStep:
    """What the run does next; `elapsed_s` is the wall time since it began."""
    last = state.messages[-1]
    answered = isinstance(last, AssistantMessage) and not state.open_calls
    if answered:
        return AwaitMessage() if interactive else Finish(state.response)
    over = exhausted(agent.limits, state, elapsed_s) or too_many_tools(agent.limits, state)
    if over is not None:
        return Fail(FailureReason.BUDGET_EXHAUSTED, over)
    if not state.open_calls:
        return CallModel(step=state.step + 1)
    undecided = tuple(call for call in state.open_calls if call.approved is None and needs_approval(agent, call))
    return AskApproval(undecided) if undecided else CallTools(state.open_calls)


def tool_of(agent: AgentSpec, call: OpenCall) -> ToolSpec | None:
    """The tool that the model named, or None when this agent does not have it."""
    return next((tool for tool in agent.tools if tool.name == call.call.name), None)


def needs_approval(agent: AgentSpec, call: OpenCall) -> bool:
    tool = tool_of(agent, call)
    return tool is not None and tool.approval is Approval.ALWAYS
