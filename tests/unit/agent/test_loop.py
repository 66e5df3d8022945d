"""The loop as a plain function: what comes next, for every state a run can be in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.agent.loop import (
    AskApproval,
    AwaitMessage,
    CallModel,
    CallTools,
    Fail,
    Finish,
    ListTools,
    next_step,
    server_of,
    tools_of,
)
from kubiya_workers.agent.state import (
    initial,
    with_decisions,
    with_mcp_tools,
    with_messages,
    with_reply,
    with_results,
)
from kubiya_workers.contracts.agents import AgentSpec, Limits
from kubiya_workers.contracts.executions import FailureReason, RunStart, RunState
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.mcp import McpServer
from kubiya_workers.contracts.messages import AssistantMessage, SystemMessage, ToolCall, ToolMessage, Usage, UserMessage
from kubiya_workers.contracts.tools import Approval, ToolResult, ToolSpec, ToolStatus

SHELL = ToolSpec(name="shell", skill="shell", description="runs", parameters={})
GUARDED = SHELL.model_copy(update={"name": "guarded", "approval": Approval.ALWAYS})
AGENT = AgentSpec(name="ops", system_prompt="Be brief.", model="m", tools=(SHELL, GUARDED))


def start(agent: AgentSpec = AGENT) -> RunState:
    return initial(RunStart(execution_id=ExecutionId("e1"), agent=agent, prompt="hello"))


def asking(*names: str) -> AssistantMessage:
    calls = tuple(ToolCall(id=f"c{place}", name=name, arguments="{}") for place, name in enumerate(names))
    return AssistantMessage(content="let me see", tool_calls=calls)


def result(call_id: str) -> ToolResult:
    return ToolResult(call_id=call_id, tool="shell", status=ToolStatus.SUCCESS, content=f"result of {call_id}")


def limited(**limits: float) -> AgentSpec:
    return AGENT.model_copy(update={"limits": Limits.model_validate(limits)})


def test_a_run_begins_with_the_system_prompt_then_the_users_words_and_calls_the_model() -> None:
    state = start()
    assert state.messages == (SystemMessage(content="Be brief."), UserMessage(content="hello"))
    assert next_step(state, AGENT, elapsed_s=0) == CallModel(step=1)


def test_servers_are_asked_once_before_the_first_model_call_and_their_tools_are_the_agents() -> None:
    server = McpServer(name="it", config={"command": "x"})
    agent = AGENT.model_copy(update={"mcp_servers": (server,)})
    assert next_step(start(agent), agent, elapsed_s=0) == ListTools((server,))
    found = SHELL.model_copy(update={"name": "it__do", "skill": "mcp", "config": {"server": "it", "tool": "do"}})
    guarded = found.model_copy(update={"name": "it__ask", "approval": Approval.ALWAYS})
    state = with_mcp_tools(start(agent), (found, guarded))
    assert next_step(state, agent, elapsed_s=0) == CallModel(step=1)
    assert tools_of(agent, state) == (*AGENT.tools, found, guarded)
    assert server_of(agent, found) == server and server_of(agent, SHELL) is None
    state = with_reply(state, asking("it__do", "it__ask"), Usage())
    assert next_step(state, agent, elapsed_s=0) == AskApproval((state.open_calls[1],))


def test_no_system_prompt_means_no_system_message() -> None:
    assert start(AGENT.model_copy(update={"system_prompt": "  "})).messages == (UserMessage(content="hello"),)


def test_an_answer_finishes_the_run_and_an_interactive_run_waits_for_a_reply() -> None:
    state = with_reply(start(), AssistantMessage(content="hi"), Usage())
    assert next_step(state, AGENT, elapsed_s=0) == Finish("hi")
    assert next_step(state, AGENT, elapsed_s=0, interactive=True) == AwaitMessage()
    again = with_messages(state, ("and now?",))
    assert next_step(again, AGENT, elapsed_s=0, interactive=True) == CallModel(step=2)


def test_every_tool_call_gets_a_step_of_its_own_and_the_model_reads_the_results_in_order() -> None:
    state = with_reply(start(), asking("shell", "shell"), Usage())
    step = next_step(state, AGENT, elapsed_s=0)
    assert isinstance(step, CallTools)
    assert [call.step for call in step.calls] == [2, 3]
    state = with_results(state, (result("c0"), result("c1")))
    assert state.messages[-2:] == (
        ToolMessage(tool_call_id="c0", content="result of c0"),
        ToolMessage(tool_call_id="c1", content="result of c1"),
    )
    assert next_step(state, AGENT, elapsed_s=0) == CallModel(step=4)


def test_a_guarded_tool_is_asked_for_and_runs_only_once_it_is_decided() -> None:
    state = with_reply(start(), asking("shell", "guarded"), Usage())
    step = next_step(state, AGENT, elapsed_s=0)
    assert isinstance(step, AskApproval)
    assert [call.call.name for call in step.calls] == ["guarded"]
    decided = with_decisions(state, {3: False})
    step = next_step(decided, AGENT, elapsed_s=0)
    assert isinstance(step, CallTools)
    assert [call.approved for call in step.calls] == [None, False]


@pytest.mark.parametrize(
    ("limits", "elapsed_s", "unit"),
    [
        ({"max_model_calls": 1}, 0, "model calls"),
        ({"max_tokens": 10}, 0, "tokens"),
        ({"max_cost_usd": 0.5}, 0, "US dollars"),
        ({"max_wall_s": 60}, 60, "seconds"),
        ({"max_tool_calls": 1}, 0, "tool calls"),
    ],
)
def test_a_budget_that_is_used_up_ends_the_run_with_its_name_and_keeps_the_output(
    limits: dict[str, float], elapsed_s: float, unit: str
) -> None:
    state = with_reply(start(), asking("shell", "shell"), Usage(input_tokens=6, output_tokens=5, cost_usd=0.5))
    step = next_step(state, limited(**limits), elapsed_s=elapsed_s)
    assert isinstance(step, Fail)
    assert step.reason is FailureReason.BUDGET_EXHAUSTED
    assert unit in step.error
    assert state.response == "let me see"


def test_an_answer_that_used_the_last_of_a_budget_still_counts() -> None:
    state = with_reply(start(), AssistantMessage(content="done"), Usage(input_tokens=100))
    assert next_step(state, limited(max_tokens=10, max_model_calls=1), elapsed_s=0) == Finish("done")


@given(st.lists(st.integers(min_value=0, max_value=3), max_size=8))
def test_steps_are_never_given_out_twice_and_every_call_is_answered(plan: list[int]) -> None:
    state, seen = start(), set[int]()
    for wanted in [*plan, 0]:
        step = next_step(state, limited(max_tool_calls=10**6), elapsed_s=0)
        assert isinstance(step, CallModel)
        assert step.step not in seen
        seen.add(step.step)
        state = with_reply(state, asking(*["shell"] * wanted), Usage())
        if wanted:
            tools = next_step(state, AGENT, elapsed_s=0)
            assert isinstance(tools, CallTools)
            assert seen.isdisjoint(call.step for call in tools.calls)
            seen |= {call.step for call in tools.calls}
            state = with_results(state, tuple(result(call.call.id) for call in tools.calls))
            assert state.open_calls == ()
        else:
            assert isinstance(next_step(state, AGENT, elapsed_s=0), Finish)
            return


@given(st.integers(min_value=0, max_value=5))
def test_a_state_survives_the_wire(calls: int) -> None:
    state = with_reply(start(), asking(*["shell"] * calls), Usage(input_tokens=3))
    assert RunState.model_validate_json(state.model_dump_json()) == state
