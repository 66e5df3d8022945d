"""Tool calls that wait for a person: what is asked, how long, and what a refusal means."""

from datetime import datetime, timedelta

from kubiya_workers.contracts.activities import ApprovalSignal, Settlement
from kubiya_workers.contracts.events import ApprovalRequested, ApprovalResolved
from kubiya_workers.contracts.executions import OpenCall
from kubiya_workers.contracts.tools import ToolRequest, ToolStatus

from .inbox import Inbox


def approval_id(call: OpenCall) -> str:
    return f"approval-{call.step}"


def requested(call: OpenCall, now: datetime, timeout: timedelta) -> ApprovalRequested:
    return ApprovalRequested(
        step=call.step,
        timestamp=now,
        approval_id=approval_id(call),
        tool_name=call.call.name,
        tool_input={"arguments": call.call.arguments},
        expires_at=now + timeout,
    )


def resolved(call: OpenCall, inbox: Inbox, now: datetime) -> ApprovalResolved:
    """The answer to one call; no answer in time is a refusal."""
    answer = inbox.approvals.get(approval_id(call))
    return ApprovalResolved(
        step=call.step,
        timestamp=now,
        approval_id=approval_id(call),
        decision=answer.decision if answer else "expired",
        by=answer.by if answer else None,
        reason=answer.reason if answer else None,
    )


def all_answered(inbox: Inbox, asked: tuple[OpenCall, ...]) -> bool:
    return all(approval_id(call) in inbox.approvals for call in asked)


def decisions(inbox: Inbox, asked: tuple[OpenCall, ...]) -> dict[int, bool]:
    """Whether each call may run, by its step."""
    return {call.step: _is_approved(inbox.approvals.get(approval_id(call))) for call in asked}


def _is_approved(answer: ApprovalSignal | None) -> bool:
    return answer is not None and answer.decision == "approved"


def refused(request: ToolRequest, inbox: Inbox) -> Settlement:
    """The end of a call that may not run, with the person's reason for the model to read."""
    answer = inbox.approvals.get(f"approval-{request.step}")
    why = (
        "nobody approved it in time" if answer is None else f"a person denied it: {answer.reason or 'no reason given'}"
    )
    return Settlement(request=request, attempts=0, outcome=ToolStatus.DENIED, why=why)
