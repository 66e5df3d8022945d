"""The workflow on a real Temporal server; what the activities do is scripted, what is durable is real."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from kubiya_workers.contracts.activities import (
    SIGNAL_APPROVAL,
    SIGNAL_MARK_DONE,
    SIGNAL_MESSAGE,
    SIGNAL_PAUSE,
    SIGNAL_RESUME,
    ApprovalSignal,
    ModelCall,
    ModelReply,
)
from kubiya_workers.contracts.agents import Limits
from kubiya_workers.contracts.events import ApprovalRequested, ApprovalResolved, Degraded
from kubiya_workers.contracts.executions import FailureReason, Status
from kubiya_workers.contracts.messages import ToolMessage, UserMessage
from kubiya_workers.contracts.tools import ToolRequest, ToolResult, ToolStatus

from .conftest import Script, Stage, calls, says
from .shapes import AGENT, AWAY, EQUIPPED, LISTED, SEARCH, until


async def test_a_run_calls_the_model_runs_its_tools_and_answers(stage: Stage) -> None:
    script = Script([calls("once", "safe"), says("all done")])
    outcome = await stage.outcome(script, AGENT)
    assert (outcome.status, outcome.response) == (Status.COMPLETED, "all done")
    assert (outcome.model_calls, outcome.tool_calls) == (2, 2)
    assert [request.step for request in script.tool_requests] == [2, 3]
    assert script.model_calls[1].step == 4
    assert [m.content for m in script.model_calls[1].messages if isinstance(m, ToolMessage)] == ["ok", "ok"]


async def test_a_client_error_of_the_model_is_not_retried_and_fails_the_run(stage: Stage) -> None:
    script = Script([ApplicationError("no such model", type="model_error", non_retryable=True)])
    outcome = await stage.outcome(script, AGENT)
    assert (outcome.status, outcome.failure_reason) == (Status.FAILED, FailureReason.MODEL_ERROR)
    assert outcome.error == "no such model"
    assert len(script.model_calls) == 1


async def test_a_busy_model_is_asked_again_after_the_time_it_named(stage: Stage) -> None:
    busy = ApplicationError("slow down", next_retry_delay=timedelta(milliseconds=50))
    script = Script([busy, busy, says("now")])
    outcome = await stage.outcome(script, AGENT)
    assert outcome.response == "now"
    assert {call.step for call in script.model_calls} == {1}


async def test_a_once_tool_without_a_result_is_settled_and_never_run_again(stage: Stage) -> None:
    async def dies(request: ToolRequest) -> ToolResult:
        raise ApplicationError("its worker died")

    script = Script([calls("once"), says("I know")], tool=dies)
    outcome = await stage.outcome(script, AGENT)
    assert outcome.status is Status.COMPLETED
    assert len(script.tool_requests) == 1
    assert [(s.outcome, s.why, s.attempts) for s in script.settlements] == [(ToolStatus.UNKNOWN, "its worker died", 1)]


async def test_a_retry_safe_tool_is_run_again_with_the_same_idempotency_key(stage: Stage) -> None:
    async def fails_once(request: ToolRequest) -> ToolResult:
        if activity.info().attempt == 1:
            raise ApplicationError("lost", next_retry_delay=timedelta(milliseconds=10))
        return ToolResult(call_id=request.call_id, tool=request.tool, status=ToolStatus.SUCCESS, content="ok")

    script = Script([calls("safe"), says("done")], tool=fails_once)
    await stage.outcome(script, AGENT)
    keys = [request.idempotency_key for request in script.tool_requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_a_tool_that_the_agent_does_not_have_is_answered_like_any_other(stage: Stage) -> None:
    script = Script([calls("nonsense"), says("sorry")])
    outcome = await stage.outcome(script, AGENT)
    assert outcome.status is Status.COMPLETED
    assert script.tool_requests[0].spec is None


@pytest.mark.parametrize(("decision", "ran"), [("approved", 1), ("denied", 0)])
async def test_a_guarded_tool_waits_for_a_person(stage: Stage, decision: str, ran: int) -> None:
    script = Script([calls("guarded"), says("done")])
    async with stage.playing(script, AGENT) as handle:
        await until(lambda: Status.WAITING_FOR_INPUT in script.statuses())
        assert script.tool_requests == []
        answer = ApprovalSignal(approval_id="approval-2", decision=decision, by="ann", reason="why not")  # type: ignore[arg-type]
        await handle.signal(SIGNAL_APPROVAL, answer)
        outcome = await asyncio.wait_for(handle.result(), 15)
    assert outcome.status is Status.COMPLETED
    assert len(script.tool_requests) == ran
    asked = [e for e in script.announced if isinstance(e, ApprovalRequested)]
    resolved = [e for e in script.announced if isinstance(e, ApprovalResolved)]
    assert [e.tool_name for e in asked] == ["guarded"]
    assert [(e.decision, e.by) for e in resolved] == [(decision, "ann")]
    if decision == "denied":
        assert script.settlements[0].outcome is ToolStatus.DENIED
        assert "why not" in script.settlements[0].why


async def test_an_approval_that_nobody_gives_expires_as_a_refusal(stage: Stage) -> None:
    script = Script([calls("guarded"), says("done")])
    outcome = await stage.outcome(script, AGENT.model_copy(update={"approval_timeout_s": 0.2}))
    assert outcome.status is Status.COMPLETED
    assert script.tool_requests == []
    assert [e.decision for e in script.announced if isinstance(e, ApprovalResolved)] == ["expired"]


async def test_pause_holds_the_next_step_until_resume(stage: Stage) -> None:
    release = asyncio.Event()

    async def slow(call: ModelCall) -> ModelReply:
        await release.wait()
        return calls("once")

    script = Script([slow, says("done")])
    async with stage.playing(script, AGENT) as handle:
        await until(lambda: script.model_calls)
        await handle.signal(SIGNAL_PAUSE)
        release.set()
        await until(lambda: script.statuses() == [Status.PAUSED])
        assert script.tool_requests == []
        await handle.signal(SIGNAL_RESUME)
        outcome = await asyncio.wait_for(handle.result(), 15)
    assert outcome.status is Status.COMPLETED
    assert script.statuses() == [Status.PAUSED, Status.RUNNING]


async def test_an_interactive_run_goes_on_with_each_message_until_it_is_marked_done(stage: Stage) -> None:
    script = Script([says("first"), says("second")])
    async with stage.playing(script, AGENT, interactive=True) as handle:
        await until(lambda: script.statuses() == [Status.WAITING_FOR_INPUT])
        await handle.signal(SIGNAL_MESSAGE, "and then?")
        await until(lambda: len(script.model_calls) == 2 and script.statuses()[-1] == Status.WAITING_FOR_INPUT)
        await handle.signal(SIGNAL_MARK_DONE)
        outcome = await asyncio.wait_for(handle.result(), 15)
    assert outcome.response == "second"
    assert script.model_calls[1].messages[-1] == UserMessage(content="and then?")


async def test_a_long_run_continues_as_new_and_forgets_nothing(stage: Stage) -> None:
    rounds = 6
    script = Script([*[calls("once") for _ in range(rounds)], says("done")])
    async with stage.playing(script, AGENT, handover_events=20) as handle:
        outcome = await asyncio.wait_for(handle.result(), 30)
        latest = await stage.client.get_workflow_handle(handle.id).describe()
    assert latest.run_id != handle.first_execution_run_id
    assert outcome.tool_calls == rounds
    steps = [request.step for request in script.tool_requests]
    assert steps == sorted(set(steps))
    assert len(script.model_calls[-1].messages) == 1 + 2 * rounds


async def test_tools_of_mcp_servers_are_asked_for_once_and_stay_the_same_for_the_whole_run(stage: Stage) -> None:
    script = Script([*[calls("it__search") for _ in range(4)], says("done")], listed=LISTED)
    outcome = await stage.outcome(script, EQUIPPED, handover_events=20)
    assert outcome.response == "done"
    (listing,) = script.listings
    assert [server.name for server in listing.servers] == ["it", "spare"] and listing.taken == (
        "once",
        "safe",
        "guarded",
    )
    assert all(call.tools == (*EQUIPPED.tools, SEARCH) for call in script.model_calls)
    assert all(r.spec == SEARCH and r.server == EQUIPPED.mcp_servers[0] for r in script.tool_requests)
    (without,) = [event.reason for event in script.announced if isinstance(event, Degraded)]
    assert without == "MCP server 'spare': it is away (optional: the run goes on without it)"


async def test_a_run_fails_early_without_a_server_that_it_needs(stage: Stage) -> None:
    outcome = await stage.outcome(Script([], listed=AWAY), EQUIPPED)
    assert (outcome.status, outcome.failure_reason) == (Status.FAILED, FailureReason.TOOL_ERROR)
    assert outcome.error == "MCP server 'it': it is away"


async def test_servers_that_no_worker_can_ask_are_faults(stage: Stage) -> None:
    broken = ApplicationError("the control plane does not answer", non_retryable=True)
    outcome = await stage.outcome(Script([], listed=broken), EQUIPPED)
    assert outcome.error == "MCP server 'it': the control plane does not answer"


async def test_wall_time_that_is_used_up_ends_the_run_and_keeps_what_there_is(stage: Stage) -> None:
    async def slow(request: ToolRequest) -> ToolResult:
        await asyncio.sleep(60)
        raise AssertionError("never reached")

    agent = AGENT.model_copy(update={"limits": Limits(max_wall_s=1.5)})
    partial = calls("once")
    partial = partial.model_copy(update={"message": partial.message.model_copy(update={"content": "half of it"})})
    outcome = await stage.outcome(Script([partial], tool=slow), agent)
    assert (outcome.status, outcome.failure_reason) == (Status.FAILED, FailureReason.BUDGET_EXHAUSTED)
    assert outcome.response == "half of it"


async def test_cancel_reaches_the_running_step_and_the_run_ends_cancelled(stage: Stage) -> None:
    cancelled = asyncio.Event()

    async def waits(call: ModelCall) -> ModelReply:
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    script = Script([waits])
    async with stage.playing(script, AGENT) as handle:
        await until(lambda: script.model_calls)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failure:
            await asyncio.wait_for(handle.result(), 20)
        assert isinstance(failure.value.cause, CancelledError)
        await asyncio.wait_for(cancelled.wait(), 20)
