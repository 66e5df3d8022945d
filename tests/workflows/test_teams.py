"""A team's run on a real Temporal server: its members are child workflows, what their activities do is scripted."""

import asyncio
import json
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError

from kubiya_workers.contracts.activities import SIGNAL_PAUSE, SIGNAL_RESUME, MemberRequest, ModelCall, ModelReply
from kubiya_workers.contracts.agents import Limits
from kubiya_workers.contracts.events import ToolCompleted, ToolStarted
from kubiya_workers.contracts.executions import FailureReason, Status
from kubiya_workers.contracts.ids import workflow_id
from kubiya_workers.contracts.messages import ToolMessage, Usage
from kubiya_workers.contracts.tools import ToolRequest, ToolResult

from .conftest import Script, Stage, calls, delegates, says
from .shapes import TEAM, until

USED = Usage(input_tokens=100, output_tokens=20, cost_usd=0.25)


def used(reply: ModelReply) -> ModelReply:
    return reply.model_copy(update={"usage": USED})


async def test_members_work_side_by_side_and_what_they_used_counts(stage: Stage) -> None:
    both = asyncio.Barrier(2)

    async def meets(call: ModelCall) -> ModelReply:
        async with asyncio.timeout(20):
            await both.wait()  # nobody passes alone
        return used(says(f"{call.messages[-1].content}: done"))

    script = Script([used(delegates(a="first", b="second")), used(says("all done"))], members=[meets, meets])
    outcome = await stage.outcome(script, TEAM)
    assert (outcome.status, outcome.response) == (Status.COMPLETED, "all done")
    assert (outcome.model_calls, outcome.tool_calls) == (4, 2)
    assert outcome.usage == USED + USED + USED + USED
    read = [m.content for m in script.model_calls[-1].messages if isinstance(m, ToolMessage)]
    assert read == ["first: done", "second: done"]
    started = [event for event in script.announced if isinstance(event, ToolStarted)]
    completed = {event.step: event for event in script.announced if isinstance(event, ToolCompleted)}
    assert {(e.step, e.tool_input["member"]) for e in started} == {(2, "a"), (3, "b")}
    for event in started:
        assert completed[event.step].tool_output["execution_id"] == event.member_execution_id
        assert completed[event.step].tool_status == "success"


async def test_members_share_equally_what_is_left_of_the_budgets(stage: Stage) -> None:
    limits = Limits(max_model_calls=9, max_tool_calls=10, max_tokens=1120, max_cost_usd=2.25, max_wall_s=600)
    script = Script([used(delegates(a="x", b="y")), says("done")], members=[used(says("one")), used(says("two"))])
    await stage.outcome(script, TEAM.model_copy(update={"limits": limits}))
    for asked in script.delegations:
        given = asked.delegation.limits
        assert (given.max_model_calls, given.max_tool_calls, given.max_tokens) == (4, 4, 500)
        assert given.max_cost_usd == 1.0
        assert given.max_wall_s is not None and 0 < given.max_wall_s <= 600


async def test_a_member_that_fails_is_a_failed_call_about_which_the_coordinator_decides(stage: Stage) -> None:
    broken = ApplicationError("no such model", type="model_error", non_retryable=True)
    script = Script([delegates(a="x"), says("it could not be done")], members=[broken])
    outcome = await stage.outcome(script, TEAM)
    assert (outcome.status, outcome.response) == (Status.COMPLETED, "it could not be done")
    assert outcome.model_calls == 2
    (ended,) = [event for event in script.announced if isinstance(event, ToolCompleted)]
    assert (ended.tool_status, ended.tool_error) == ("failed", "model_error: no such model")
    assert "a did not finish: model_error: no such model" in ended.content


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("{", "no JSON object"),
        (json.dumps({"member": "c", "task": "x"}), "no member 'c'; its members: a, b"),
        (json.dumps({"member": "a", "task": " "}), "`task` must be"),
    ],
)
async def test_a_call_that_names_no_member_or_task_runs_nobody(stage: Stage, arguments: str, why: str) -> None:
    asking = calls("delegate")
    call = asking.message.tool_calls[0].model_copy(update={"arguments": arguments})
    asking = asking.model_copy(update={"message": asking.message.model_copy(update={"tool_calls": (call,)})})
    script = Script([asking, says("sorry")])
    outcome = await stage.outcome(script, TEAM)
    assert outcome.status is Status.COMPLETED
    assert script.delegations == []
    (settled,) = script.settlements
    assert why in settled.why


async def test_a_member_that_is_refused_is_a_failed_call(stage: Stage) -> None:
    async def refuses(request: MemberRequest) -> None:
        raise ApplicationError("the budget of key 'ci' is used up", non_retryable=True)

    script = Script([delegates(a="x"), says("sorry")], refuse=refuses)
    outcome = await stage.outcome(script, TEAM)
    assert outcome.status is Status.COMPLETED
    assert [s.why for s in script.settlements] == ["the budget of key 'ci' is used up"]


async def test_pause_and_resume_reach_the_members(stage: Stage) -> None:
    release = asyncio.Event()

    async def slow(call: ModelCall) -> ModelReply:
        await release.wait()
        return calls("once")

    script = Script([delegates(a="x"), says("done")], members=[slow, says("member done")])
    async with stage.playing(script, TEAM) as handle:
        await until(lambda: len(script.model_calls) == 2)
        await handle.signal(SIGNAL_PAUSE)
        (member,) = script.stored
        child = stage.client.get_workflow_handle(workflow_id(member.execution_id))
        await until_signalled(child, SIGNAL_PAUSE)
        release.set()
        await until(lambda: Status.PAUSED in script.statuses())
        assert script.tool_requests == []
        await handle.signal(SIGNAL_RESUME)
        outcome = await asyncio.wait_for(handle.result(), 20)
    assert outcome.status is Status.COMPLETED
    assert len(script.tool_requests) == 1


async def until_signalled(handle: WorkflowHandle[Any, Any], name: str) -> None:
    """Wait until a workflow's history says that it got a signal."""
    async with asyncio.timeout(15):
        while True:
            history = await handle.fetch_history()
            signals = [event.workflow_execution_signaled_event_attributes.signal_name for event in history.events]
            if name in signals:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["cancel", "terminate"])
async def test_what_ends_the_teams_run_ends_its_members(stage: Stage, way: str) -> None:
    stopped = asyncio.Event()

    async def waits(request: ToolRequest) -> ToolResult:
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            stopped.set()
            raise

    script = Script([delegates(a="x", b="y")], members=[calls("once"), calls("once")], tool=waits)
    async with stage.playing(script, TEAM) as handle:
        await until(lambda: len(script.tool_requests) == 2)
        await (handle.cancel() if way == "cancel" else handle.terminate())
        with pytest.raises(WorkflowFailureError) as failure:
            await asyncio.wait_for(handle.result(), 20)
        if way == "cancel":
            assert isinstance(failure.value.cause, CancelledError)
        for member in script.stored:
            child = stage.client.get_workflow_handle(workflow_id(member.execution_id))
            with pytest.raises(WorkflowFailureError):
                await asyncio.wait_for(child.result(), 20)
        await asyncio.wait_for(stopped.wait(), 20)


async def test_a_member_that_a_person_cancels_is_a_failed_call(stage: Stage) -> None:
    async def waits(call: ModelCall) -> ModelReply:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.1)

    script = Script([delegates(a="x"), says("then without it")], members=[waits])
    async with stage.playing(script, TEAM) as handle:
        await until(lambda: len(script.model_calls) == 2)
        (member,) = script.stored
        await stage.client.get_workflow_handle(workflow_id(member.execution_id)).cancel()
        outcome = await asyncio.wait_for(handle.result(), 20)
    assert (outcome.status, outcome.failure_reason) == (Status.COMPLETED, None)
    (ended,) = [event for event in script.announced if isinstance(event, ToolCompleted)]
    assert ended.tool_error == "a person cancelled its run"


async def test_a_members_budget_is_its_own_failure(stage: Stage) -> None:
    script = Script([delegates(a="x"), says("half of it")], members=[calls("once"), says("never")])
    outcome = await stage.outcome(script, TEAM.model_copy(update={"limits": Limits(max_model_calls=2)}))
    assert (outcome.status, outcome.failure_reason) == (Status.FAILED, FailureReason.BUDGET_EXHAUSTED)
    (ended,) = [event for event in script.announced if isinstance(event, ToolCompleted)]
    assert ended.tool_error == "budget_exhausted: the budget of 1 model calls is used up"


async def test_a_long_run_continues_as_new_between_its_delegations(stage: Stage) -> None:
    rounds = 3
    script = Script(
        [*[delegates(a="x", b="y") for _ in range(rounds)], says("done")],
        members=[says("one") for _ in range(2 * rounds)],
    )
    async with stage.playing(script, TEAM, handover_events=20) as handle:
        outcome = await asyncio.wait_for(handle.result(), 30)
        latest = await stage.client.get_workflow_handle(handle.id).describe()
    assert latest.run_id != handle.first_execution_run_id
    assert (outcome.status, outcome.tool_calls) == (Status.COMPLETED, 2 * rounds)
    assert len(script.stored) == 2 * rounds
