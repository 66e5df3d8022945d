"""The activities as the workflow knows them: name, timeouts and retries. The bodies are in worker/activities.

Retries live here and nowhere else. A failure of the model or a tool itself comes back as data or as a typed
`ModelFailed`; what Temporal retries is the loss of a worker and what the worker marked as retryable.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    TimeoutError,
    TimeoutType,
    is_cancelled_exception,
)

from kubiya_workers.contracts.activities import (
    ANNOUNCE,
    CALL_MODEL,
    CALL_TOOL,
    DELEGATE,
    LIST_TOOLS,
    SETTLE_TOOL,
    Announcement,
    MemberRequest,
    ModelCall,
    ModelReply,
    ServerFault,
    Settlement,
    ToolListing,
    ToolsListed,
)
from kubiya_workers.contracts.errors import BudgetExhausted
from kubiya_workers.contracts.executions import FailureReason, RunStart
from kubiya_workers.contracts.tools import ToolClass, ToolRequest, ToolResult, ToolStatus

# A dead worker is noticed after this long without a beat; workers beat every second and give up their own
# activities after five seconds without contact, so that an attempt has ended before the next one begins.
HEARTBEAT_TIMEOUT = timedelta(seconds=8)
MODEL_TIMEOUT = timedelta(hours=1)
MODEL_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=60),
    maximum_attempts=8,
)
TOOL_ATTEMPTS = {ToolClass.PURE: 5, ToolClass.RETRY_SAFE: 5, ToolClass.ONCE: 1}
SETTLE_TIMEOUT = timedelta(seconds=30)
# A server may take two minutes to start, and may have to wait for another run's to end.
LIST_TIMEOUT = timedelta(minutes=6)
# Temporal takes 400 bytes, and a character may be four.
LONGEST_SUMMARY = 100
LIST_RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=5)
# Time for a tool's own limit to be enforced by the worker before Temporal's is.
TOOL_GRACE = timedelta(seconds=30)


class ModelFailed(Exception):
    """The model call failed for good; `reason` and the message say why."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotDelegated(Exception):
    """A member's run cannot be had; the message says why."""


async def list_tools(listing: ToolListing, *, remaining_s: float | None) -> ToolsListed:
    """What the MCP servers of the run offer. Asking changes nothing, so another worker asks again; what is left when
    all are lost is a fault of each server."""
    try:
        return await workflow.execute_activity(
            LIST_TOOLS,
            listing,
            result_type=ToolsListed,
            start_to_close_timeout=LIST_TIMEOUT,
            schedule_to_close_timeout=None if remaining_s is None else timedelta(seconds=remaining_s),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=LIST_RETRIES,
            summary=", ".join(server.name for server in listing.servers)[:LONGEST_SUMMARY],
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        why = _why_tool_failed(error)
        return ToolsListed(faults=tuple(ServerFault(server=server.name, reason=why) for server in listing.servers))


async def call_model(call: ModelCall, *, remaining_s: float | None) -> ModelReply:
    """One model call.

    Raises:
        ModelFailed: after the last retry, or at once for an error that retrying cannot mend.
        asyncio.CancelledError: the run was cancelled.
    """
    try:
        return await workflow.execute_activity(
            CALL_MODEL,
            call,
            result_type=ModelReply,
            start_to_close_timeout=MODEL_TIMEOUT,
            schedule_to_close_timeout=None if remaining_s is None else timedelta(seconds=remaining_s),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=MODEL_RETRIES,
            summary=call.model,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        raise ModelFailed(*_why_model_failed(error)) from error


def _why_model_failed(error: ActivityError) -> tuple[FailureReason, str]:
    match error.cause:
        case ApplicationError(type=BudgetExhausted.code) as cause:
            return FailureReason.BUDGET_EXHAUSTED, cause.message
        case ApplicationError() as cause:
            return FailureReason.MODEL_ERROR, cause.message
        case TimeoutError():
            return FailureReason.TIMEOUT, "the model call did not end in time"
        case cause:
            return FailureReason.MODEL_ERROR, str(cause or error)


async def call_tool(request: ToolRequest, *, remaining_s: float | None) -> ToolResult:
    """One tool call. Whatever happens to its worker there is a result: a tool that may have run is not run again."""
    tool_class = request.spec.tool_class if request.spec else ToolClass.PURE
    attempts = TOOL_ATTEMPTS[tool_class]
    limit = timedelta(seconds=request.spec.timeout_s) if request.spec else SETTLE_TIMEOUT
    left = None if remaining_s is None else timedelta(seconds=remaining_s)
    try:
        return await workflow.execute_activity(
            CALL_TOOL,
            request,
            result_type=ToolResult,
            start_to_close_timeout=limit + TOOL_GRACE,
            schedule_to_close_timeout=left,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=attempts),
            summary=request.tool,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        why = _why_tool_failed(error)
        return await settle(Settlement(request=request, attempts=attempts, outcome=ToolStatus.UNKNOWN, why=why))


def _why_tool_failed(error: ActivityError) -> str:
    match error.cause:
        case TimeoutError(type=TimeoutType.HEARTBEAT):
            return "its worker stopped answering while it ran"
        case TimeoutError(type=TimeoutType.SCHEDULE_TO_CLOSE):
            return "the time of the run was used up while it ran"
        case TimeoutError():
            return "it did not end in time"
        case ApplicationError() as cause:
            return cause.message
        case cause:
            return str(cause or error)


async def delegate(request: MemberRequest, *, remaining_s: float | None) -> RunStart:
    """A member's run, stored and ready to be started; asked for again, it is the same one.

    Raises:
        NotDelegated: it is refused, or the time of the run is used up.
        asyncio.CancelledError: the run was cancelled.
    """
    try:
        return await workflow.execute_activity(
            DELEGATE,
            request,
            result_type=RunStart,
            start_to_close_timeout=SETTLE_TIMEOUT,
            schedule_to_close_timeout=None if remaining_s is None else timedelta(seconds=remaining_s),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
            summary=request.delegation.member,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        raise NotDelegated(_why_tool_failed(error)) from error


def not_run(request: ToolRequest, why: str) -> Settlement:
    """A call that was never begun, because of what it asks for."""
    return Settlement(request=request, attempts=0, outcome=ToolStatus.FAILED, why=why)


async def settle(settlement: Settlement) -> ToolResult:
    """What came of a tool call whose activity gave no result; tried until the event log answers."""
    return await workflow.execute_activity(
        SETTLE_TOOL,
        settlement,
        result_type=ToolResult,
        start_to_close_timeout=SETTLE_TIMEOUT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
        summary=settlement.request.tool,
    )


async def announce(announcement: Announcement) -> None:
    """Facts that the run itself makes. A local activity: no round trip through the server for a status."""
    await workflow.execute_local_activity(
        ANNOUNCE,
        announcement,
        start_to_close_timeout=SETTLE_TIMEOUT,
        retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
    )
