"""The workflow of one execution: ask the loop, do what it says, feed the result back."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Literal

from temporalio import workflow

from kubiya_workers.agent import state as run_state
from kubiya_workers.agent.limits import remaining_s, share
from kubiya_workers.agent.loop import (
    AskApproval,
    AwaitMessage,
    CallModel,
    CallTools,
    Fail,
    Finish,
    ListTools,
    NextStep,
    next_step,
    server_of,
    tool_of,
    tools_of,
)
from kubiya_workers.agent.mcp import verdict
from kubiya_workers.agent.teams import is_delegation
from kubiya_workers.contracts.activities import (
    EXECUTION_WORKFLOW,
    SIGNAL_APPROVAL,
    SIGNAL_MARK_DONE,
    SIGNAL_MESSAGE,
    SIGNAL_PAUSE,
    SIGNAL_RESUME,
    Announcement,
    ApprovalSignal,
    ModelCall,
    ToolListing,
)
from kubiya_workers.contracts.agents import Limits
from kubiya_workers.contracts.events import Degraded, Delta, Fact, StatusChanged
from kubiya_workers.contracts.executions import FailureReason, OpenCall, RunOutcome, RunStart, Status
from kubiya_workers.contracts.mcp import McpServer
from kubiya_workers.contracts.tools import ToolRequest, ToolResult

from . import approvals, calls, handover, members
from .inbox import Inbox


@workflow.defn(name=EXECUTION_WORKFLOW)
class ExecutionWorkflow:
    @workflow.init
    def __init__(self, start: RunStart) -> None:
        self._start = start
        self._state = start.carried or run_state.initial(start)
        self._inbox = Inbox()
        self._status = Status.RUNNING
        self._began = workflow.time() - self._state.elapsed_s

    @workflow.run
    async def run(self, start: RunStart) -> RunOutcome:
        while True:
            await self._hold_while_paused()
            self._take_messages()
            outcome = await self._do(
                next_step(self._state, start.agent, elapsed_s=self._elapsed, interactive=self._is_open)
            )
            if outcome is not None:
                return outcome
            self._hand_over_if_due()

    async def _do(self, step: NextStep) -> RunOutcome | None:
        """One step; the outcome of the run, if this was its last."""
        match step:
            case ListTools(servers=servers):
                return await self._list_tools(servers)
            case CallModel(step=number):
                return await self._call_model(number)
            case CallTools(calls=open_calls):
                await self._call_tools(open_calls)
            case AskApproval(calls=open_calls):
                await self._ask(open_calls)
            case AwaitMessage():
                await self._await_message()
            case Finish(response=response):
                return self._outcome(Status.COMPLETED, response=response)
            case Fail(reason=reason, error=error):
                return self._outcome(Status.FAILED, failure_reason=reason, error=error)
        return None

    # --- steps

    async def _list_tools(self, servers: tuple[McpServer, ...]) -> RunOutcome | None:
        agent = self._start.agent
        listing = ToolListing(
            execution_id=self._start.execution_id, servers=servers, taken=tuple(tool.name for tool in agent.tools)
        )
        listed = await calls.list_tools(listing, remaining_s=remaining_s(agent.limits, self._elapsed))
        error, without = verdict(servers, listed)
        if without:
            facts = tuple(Degraded(timestamp=workflow.now(), reason=reason) for reason in without)
            await calls.announce(Announcement(execution_id=self._start.execution_id, events=facts))
        if error is not None:
            return self._outcome(Status.FAILED, failure_reason=FailureReason.TOOL_ERROR, error=error)
        self._state = run_state.with_mcp_tools(self._state, listed.tools)
        return None

    async def _call_model(self, step: int) -> RunOutcome | None:
        agent = self._start.agent
        call = ModelCall(
            execution_id=self._start.execution_id,
            step=step,
            model=agent.model,
            model_is_default=agent.model_is_default,
            price=agent.price,
            messages=self._state.messages,
            tools=tools_of(agent, self._state),
            temperature=agent.temperature,
            max_output_tokens=agent.max_output_tokens,
            has_secrets=self._start.has_secrets,
            has_budget=self._start.has_budget,
        )
        try:
            reply = await calls.call_model(call, remaining_s=remaining_s(agent.limits, self._elapsed))
        except calls.ModelFailed as error:
            return self._outcome(Status.FAILED, failure_reason=error.reason, error=str(error))
        self._state = run_state.with_reply(self._state, reply.message, reply.usage)
        return None

    async def _call_tools(self, open_calls: tuple[OpenCall, ...]) -> None:
        requests = [(self._request(call), call.approved) for call in open_calls]
        delegations = sum(is_delegation(request.spec) for request, _ in requests)
        limits = share(self._start.agent.limits, self._state, self._elapsed, among=max(1, delegations))
        running = [self._call_tool(request, approved, limits) for request, approved in requests]
        # All have ended before any failure counts: a cancelled run ends after its members' runs, not beside them.
        ended = await asyncio.gather(*running, return_exceptions=True)
        self._state = run_state.with_results(self._state, tuple(map(_result, ended)))

    async def _call_tool(self, request: ToolRequest, approved: bool | None, limits: Limits) -> ToolResult:
        """`limits` is what a member's run may use, if this gives one a task."""
        if approved is False:
            return await calls.settle(approvals.refused(request, self._inbox))
        if is_delegation(request.spec):
            return await members.delegated(request, limits, self._inbox)
        return await calls.call_tool(request, remaining_s=limits.max_wall_s)

    def _request(self, open_call: OpenCall) -> ToolRequest:
        execution_id, call = self._start.execution_id, open_call.call
        tool = tool_of(self._start.agent, self._state, open_call)
        return ToolRequest(
            execution_id=execution_id,
            step=open_call.step,
            call_id=call.id,
            tool=call.name,
            spec=tool,
            arguments=call.arguments,
            idempotency_key=f"{execution_id}-{open_call.step}",
            server=server_of(self._start.agent, tool),
        )

    async def _ask(self, asked: tuple[OpenCall, ...]) -> None:
        timeout = timedelta(seconds=self._start.agent.approval_timeout_s)
        requests = [approvals.requested(call, workflow.now(), timeout) for call in asked]
        names = ", ".join(call.call.name for call in asked)
        await self._enter(Status.WAITING_FOR_INPUT, f"approval of {names} by a person", *requests)
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: approvals.all_answered(self._inbox, asked), timeout=timeout)
        self._state = run_state.with_decisions(self._state, approvals.decisions(self._inbox, asked))
        answers = [approvals.resolved(call, self._inbox, workflow.now()) for call in asked]
        await self._enter(Status.RUNNING, None, *answers)

    async def _await_message(self) -> None:
        await self._enter(Status.WAITING_FOR_INPUT, "a follow-up message")
        await workflow.wait_condition(lambda: bool(self._inbox.messages) or self._inbox.done)
        if not self._inbox.done:
            await self._enter(Status.RUNNING, None)

    async def _hold_while_paused(self) -> None:
        if not self._inbox.paused:
            return
        await self._enter(Status.PAUSED, "paused by a person")
        await workflow.wait_condition(lambda: not self._inbox.paused)
        await self._enter(Status.RUNNING, None)

    # --- what the run says of itself

    async def _enter(self, status: Status, reason: str | None, *also: Fact | Delta) -> None:
        """Tell the world of a new status, with the facts that belong to it."""
        change = StatusChanged(timestamp=workflow.now(), status=status, previous_status=self._status, reason=reason)
        self._status = status
        await calls.announce(Announcement(execution_id=self._start.execution_id, events=(*also, change)))

    def _outcome(
        self,
        status: Literal[Status.COMPLETED, Status.FAILED],
        *,
        response: str | None = None,
        failure_reason: FailureReason | None = None,
        error: str | None = None,
    ) -> RunOutcome:
        state = self._state
        return RunOutcome(
            status=status,
            response=state.response if response is None else response,
            failure_reason=failure_reason,
            error=error,
            usage=state.usage,
            model_calls=state.model_calls,
            tool_calls=state.tool_calls,
        )

    @property
    def _elapsed(self) -> float:
        return workflow.time() - self._began

    @property
    def _is_open(self) -> bool:
        """Whether somebody may still reply to an answer."""
        return self._start.interactive and not self._inbox.done

    def _take_messages(self) -> None:
        # Between a model's tool calls and their results no message may stand: providers refuse such a conversation.
        if self._inbox.messages and not self._state.open_calls:
            self._state = run_state.with_messages(self._state, self._inbox.take_messages())

    def _hand_over_if_due(self) -> None:
        busy = self._inbox.messages or self._inbox.paused or self._inbox.done
        if busy or not handover.is_due(self._start):
            return
        carried = self._state.model_copy(update={"elapsed_s": self._elapsed})
        workflow.continue_as_new(self._start.model_copy(update={"carried": carried}))

    # --- what reaches it

    @workflow.signal(name=SIGNAL_MESSAGE)
    def on_message(self, text: str) -> None:
        self._inbox.messages.append(text)

    @workflow.signal(name=SIGNAL_PAUSE)
    def on_pause(self) -> None:
        self._inbox.paused = True

    @workflow.signal(name=SIGNAL_RESUME)
    def on_resume(self) -> None:
        self._inbox.paused = False

    @workflow.signal(name=SIGNAL_MARK_DONE)
    def on_mark_done(self) -> None:
        self._inbox.done = True

    @workflow.signal(name=SIGNAL_APPROVAL)
    def on_approval(self, answer: ApprovalSignal) -> None:
        self._inbox.decide(answer)


def _result(ended: ToolResult | BaseException) -> ToolResult:
    if isinstance(ended, BaseException):
        raise ended
    return ended
