"""The decision at the heart of a run.

MCP servers, not asked yet         → ListTools
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
from kubiya_workers.contracts.mcp import MCP, McpServer
from kubiya_workers.contracts.messages import AssistantMessage
from kubiya_workers.contracts.tools import Approval, ToolSpec

from .limits import exhausted, too_many_tools


@dataclass(frozen=True)
class ListTools:
    servers: tuple[McpServer, ...]


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


NextStep = ListTools | CallModel | CallTools | AskApproval | AwaitMessage | Finish | Fail


def next_step(state: RunState, agent: AgentSpec, *, elapsed_s: float, interactive: bool = False) -> NextStep:
    """What the run does next; `elapsed_s` is the wall time since it began."""
    last = state.messages[-1]
    answered = isinstance(last, AssistantMessage) and not state.open_calls
    if answered:
        return AwaitMessage() if interactive else Finish(state.response)
    over = exhausted(agent.limits, state, elapsed_s) or too_many_tools(agent.limits, state)
    if over is not None:
        return Fail(FailureReason.BUDGET_EXHAUSTED, over)
    if agent.mcp_servers and state.mcp_tools is None:
        return ListTools(agent.mcp_servers)
    if not state.open_calls:
        return CallModel(step=state.step + 1)
    undecided = tuple(call for call in state.open_calls if call.approved is None and needs_approval(agent, state, call))
    return AskApproval(undecided) if undecided else CallTools(state.open_calls)


def tools_of(agent: AgentSpec, state: RunState) -> tuple[ToolSpec, ...]:
    """All that the model may call: the agent's own tools, and those of its MCP servers."""
    return (*agent.tools, *(state.mcp_tools or ()))


def tool_of(agent: AgentSpec, state: RunState, call: OpenCall) -> ToolSpec | None:
    """The tool that the model named, or None when this agent does not have it."""
    return next((tool for tool in tools_of(agent, state) if tool.name == call.call.name), None)


def server_of(agent: AgentSpec, tool: ToolSpec | None) -> McpServer | None:
    """The MCP server that a tool is called at; None for all other tools."""
    name = tool.config.get("server") if tool is not None and tool.skill == MCP else None
    return next((server for server in agent.mcp_servers if server.name == name), None)


def needs_approval(agent: AgentSpec, state: RunState, call: OpenCall) -> bool:
    tool = tool_of(agent, state, call)
    return tool is not None and tool.approval is Approval.ALWAYS
