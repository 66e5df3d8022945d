"""How the state of a run changes: each function takes one and gives the next."""

from kubiya_workers.contracts.executions import OpenCall, RunStart, RunState
from kubiya_workers.contracts.messages import AssistantMessage, ToolMessage, Usage, UserMessage
from kubiya_workers.contracts.tools import ToolResult, ToolSpec

from .prompt import opening


def initial(start: RunStart) -> RunState:
    return RunState(messages=opening(start.agent, start.prompt))


def with_mcp_tools(state: RunState, tools: tuple[ToolSpec, ...]) -> RunState:
    """The state once the agent's MCP servers have said what they offer."""
    return state.model_copy(update={"mcp_tools": tools})


def with_reply(state: RunState, message: AssistantMessage, usage: Usage) -> RunState:
    """The state after a model call, whose step is the next one; each tool call in it gets a step of its own."""
    step = state.step + 1
    calls = tuple(OpenCall(step=step + 1 + place, call=call) for place, call in enumerate(message.tool_calls))
    return state.model_copy(
        update={
            "messages": (*state.messages, message),
            "step": step + len(calls),
            "open_calls": calls,
            "usage": state.usage + usage,
            "model_calls": state.model_calls + 1,
        }
    )


def with_results(state: RunState, results: tuple[ToolResult, ...]) -> RunState:
    """The state after tool calls came back, in the order in which the model asked for them.

    What members of a team used in them counts in the budgets of the team's run.
    """
    answered = {result.call_id for result in results}
    spent = [result.spent for result in results]
    replies = tuple(ToolMessage(tool_call_id=result.call_id, content=result.content) for result in results)
    return state.model_copy(
        update={
            "messages": (*state.messages, *replies),
            "open_calls": tuple(open_ for open_ in state.open_calls if open_.call.id not in answered),
            "usage": sum((one.usage for one in spent), state.usage),
            "model_calls": state.model_calls + sum(one.model_calls for one in spent),
            "tool_calls": state.tool_calls + len(results) + sum(one.tool_calls for one in spent),
        }
    )


def with_decisions(state: RunState, decisions: dict[int, bool]) -> RunState:
    """The state after people decided; `decisions` maps the step of an open call to whether it may run."""
    calls = tuple(
        open_.model_copy(update={"approved": decisions[open_.step]}) if open_.step in decisions else open_
        for open_ in state.open_calls
    )
    return state.model_copy(update={"open_calls": calls})


def with_messages(state: RunState, texts: tuple[str, ...]) -> RunState:
    """The state after a person wrote: each text is a message of the user's."""
    return state.model_copy(update={"messages": (*state.messages, *(UserMessage(content=text) for text in texts))})
