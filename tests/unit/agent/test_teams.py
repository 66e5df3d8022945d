"""A coordinator's one tool, what its calls mean, and how a team's budgets are shared."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.agent.limits import share, tighter
from kubiya_workers.agent.state import with_results
from kubiya_workers.agent.teams import delegate_tool, delegation_in, is_delegation, result_of
from kubiya_workers.contracts.agents import AgentSpec, Limits
from kubiya_workers.contracts.executions import FailureReason, RunOutcome, RunState, Status
from kubiya_workers.contracts.ids import AgentId, ExecutionId
from kubiya_workers.contracts.messages import Usage, UserMessage
from kubiya_workers.contracts.teams import Delegation, Member
from kubiya_workers.contracts.tools import ToolRequest, ToolSpec, ToolStatus


def member(name: str, description: str | None = None) -> Member:
    return Member(agent_id=AgentId(f"id-{name}"), agent=AgentSpec(name=name, model="m"), description=description)


TOOL = delegate_tool([member("writer", "Writes."), member("checker")])
ASKED = Delegation(step=2, member="writer", task="write it")
RUN = ExecutionId("r1")


def asking(arguments: str) -> ToolRequest:
    return ToolRequest(
        execution_id=ExecutionId("e1"),
        step=2,
        call_id="c1",
        tool="delegate",
        spec=TOOL,
        arguments=arguments,
        idempotency_key="e1-2",
    )


def test_the_tool_names_the_members_and_says_what_they_are_for() -> None:
    assert TOOL.parameters["properties"]["member"]["enum"] == ["writer", "checker"]
    assert "- writer: Writes." in TOOL.description
    assert is_delegation(TOOL)
    assert not is_delegation(None)
    assert not is_delegation(ToolSpec(name="delegate", skill="shell", description="", parameters={}))


@given(st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps)))
def test_whatever_a_model_writes_is_a_task_or_a_reason(arguments: str) -> None:
    assert isinstance(delegation_in(asking(arguments)), str)


@given(st.sampled_from(["writer", "checker"]), st.text(min_size=1).filter(str.strip))
def test_a_member_and_a_task_are_a_delegation(name: str, task: str) -> None:
    asked = delegation_in(asking(json.dumps({"member": name, "task": task})))
    assert asked == Delegation(step=2, member=name, task=task)


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (RunOutcome(status=Status.COMPLETED, response="written"), ToolStatus.SUCCESS, "written"),
        (
            RunOutcome(
                status=Status.FAILED, failure_reason=FailureReason.MODEL_ERROR, error="away", response="half of it"
            ),
            ToolStatus.FAILED,
            "writer did not finish: model_error: away. What it had said until then: half of it",
        ),
        (RunOutcome(status=Status.CANCELLED), ToolStatus.FAILED, "writer did not finish: without a reason."),
    ],
)
def test_the_end_of_a_members_run_is_the_result_of_the_call(
    outcome: RunOutcome, status: ToolStatus, words: str
) -> None:
    result = result_of(asking("{}"), ASKED, RUN, outcome, 5)
    assert (result.status, result.content, result.duration_ms) == (status, words, 5)
    assert (result.output["execution_id"], result.output["member"]) == (RUN, "writer")


def test_what_a_member_used_counts_in_the_run_of_its_team() -> None:
    used = Usage(input_tokens=7, cost_usd=0.5)
    ended = RunOutcome(status=Status.COMPLETED, usage=used, model_calls=3, tool_calls=2)
    state = RunState(messages=(UserMessage(content="go"),), usage=used, model_calls=1)
    state = with_results(state, (result_of(asking("{}"), ASKED, RUN, ended, 5),))
    assert (state.usage, state.model_calls, state.tool_calls) == (used + used, 4, 3)


LIMITS = st.builds(
    Limits,
    max_model_calls=st.none() | st.integers(0, 1000),
    max_tool_calls=st.none() | st.integers(0, 1000),
    max_tokens=st.none() | st.integers(0, 10**6),
    max_cost_usd=st.none() | st.floats(0, 100),
    max_wall_s=st.none() | st.floats(0, 10_000),
)


@given(LIMITS, st.integers(1, 9), st.integers(0, 2000), st.integers(0, 10**6), st.floats(0, 200))
def test_shares_together_are_never_more_than_what_is_left(
    limits: Limits, among: int, calls: int, tokens: int, cost: float
) -> None:
    usage = Usage(input_tokens=tokens, cost_usd=cost)
    state = RunState(messages=(), model_calls=calls, tool_calls=calls, usage=usage)
    part = share(limits, state, 10.0, among=among)
    spent = {"max_model_calls": calls, "max_tool_calls": calls, "max_tokens": tokens, "max_cost_usd": cost}
    for name, used in spent.items():
        limit, given_ = getattr(limits, name), getattr(part, name)
        assert (limit is None) == (given_ is None)
        if limit is not None:
            assert 0 <= given_ * among <= max(0.0, limit - used) + 1e-9


@given(LIMITS, LIMITS)
def test_the_tighter_of_two_holds_both(one: Limits, other: Limits) -> None:
    both = tighter(one, other)
    assert both == tighter(other, one)
    for name in Limits.model_fields:
        known: list[Any] = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        assert getattr(both, name) == (min(known) if known else None)
