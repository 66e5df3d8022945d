"""Delegations: a member's run is a child workflow, and its end the result of the call that asked for it.

    stored by the control plane → `tool_started` → child workflow → `tool_completed`

Each has one attempt: the control plane knows the run by its parent and step, Temporal the child by the run's id.
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import CancelledError, ChildWorkflowError, FailureError, WorkflowAlreadyStartedError

from kubiya_workers.agent import teams
from kubiya_workers.contracts.activities import (
    EXECUTION_WORKFLOW,
    SIGNAL_PAUSE,
    SIGNAL_RESUME,
    Announcement,
    MemberRequest,
)
from kubiya_workers.contracts.agents import Limits
from kubiya_workers.contracts.events import ToolCompleted, ToolStarted
from kubiya_workers.contracts.executions import FailureReason, RunOutcome, RunStart, Status
from kubiya_workers.contracts.ids import workflow_id
from kubiya_workers.contracts.tools import ToolRequest, ToolResult

from . import calls
from .inbox import Inbox

Child = workflow.ChildWorkflowHandle[Any, RunOutcome]


async def delegated(request: ToolRequest, limits: Limits, inbox: Inbox) -> ToolResult:
    """What came of a delegation; a member that fails is a result, about which the coordinator decides.

    Raises:
        asyncio.CancelledError, ChildWorkflowError: the team's run was cancelled, and the member's has ended.
    """
    asked = teams.delegation_in(request)
    if isinstance(asked, str):
        return await calls.settle(calls.not_run(request, asked))
    wanted = MemberRequest(execution_id=request.execution_id, delegation=asked.model_copy(update={"limits": limits}))
    try:
        run = await calls.delegate(wanted, remaining_s=limits.max_wall_s)
    except calls.NotDelegated as error:
        return await calls.settle(calls.not_run(request, str(error)))
    started = ToolStarted.of(request, 1, {"member": asked.member, "task": asked.task})
    began = workflow.now()
    told = {"member_execution_id": run.execution_id, "timestamp": began}
    await _announce(request, started.model_copy(update=told))
    outcome = await _outcome(run, inbox)
    result = teams.result_of(
        request, asked, run.execution_id, outcome, (workflow.now() - began) // timedelta(milliseconds=1)
    )
    await _announce(request, ToolCompleted.of(request, 1, result).model_copy(update={"timestamp": workflow.now()}))
    return result


async def _announce(request: ToolRequest, fact: ToolStarted | ToolCompleted) -> None:
    await calls.announce(Announcement(execution_id=request.execution_id, events=(fact,)))


async def _outcome(run: RunStart, inbox: Inbox) -> RunOutcome:
    """The end of a member's run, which goes with its team's: paused with it, cancelled with it, terminated with it."""
    try:
        child: Child = await workflow.start_child_workflow(
            EXECUTION_WORKFLOW,
            run,
            id=workflow_id(run.execution_id),
            result_type=RunOutcome,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.TERMINATE,
            static_summary=run.agent.name,
        )
        return await _followed(child, inbox)
    except WorkflowAlreadyStartedError:
        return _failed("its run was begun before, and not by this one")
    except ChildWorkflowError as error:
        if workflow.cancellation_reason() is not None:
            raise
        if isinstance(error.cause, CancelledError):
            return RunOutcome(status=Status.CANCELLED, error="a person cancelled its run")
        return _failed(f"its run was ended: {error.cause or error}")


async def _followed(child: Child, inbox: Inbox) -> RunOutcome:
    told = False
    try:
        while not child.done():
            await workflow.wait_condition(lambda told=told: child.done() or inbox.paused != told)
            if inbox.paused != told:
                told = inbox.paused
                await _tell(child, SIGNAL_PAUSE if told else SIGNAL_RESUME)
    except asyncio.CancelledError:
        child.cancel()
    return await child


async def _tell(child: Child, signal: str) -> None:
    try:
        await child.signal(signal)
    except FailureError:
        return  # it has ended meanwhile


def _failed(why: str) -> RunOutcome:
    return RunOutcome(status=Status.FAILED, failure_reason=FailureReason.INTERNAL, error=why)
