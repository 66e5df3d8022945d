"""The end of a run as it is written: the columns, the last events, and what is not kept."""

from datetime import datetime

from kubiya_workers.contracts.events import Done, ErrorRaised, Fact, StatusChanged
from kubiya_workers.contracts.executions import RunOutcome, Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.tools import Workspace

from ..store.executions import Changes


def closing_values(outcome: RunOutcome, now: datetime) -> Changes:
    return {
        "status": outcome.status,
        "status_reason": None,
        "response": outcome.response,
        "error_message": outcome.error,
        "failure_reason": outcome.failure_reason,
        "usage": outcome.usage,
        "completed_at": now,
        "updated_at": now,
    }


def closing_events(execution_id: ExecutionId, outcome: RunOutcome) -> tuple[Fact, ...]:
    reason = outcome.failure_reason or outcome.error
    events: list[Fact] = [StatusChanged(status=outcome.status, reason=reason)]
    if outcome.status is Status.FAILED:
        error_type = outcome.failure_reason or "internal"
        text = outcome.error or "the run failed"
        events.append(ErrorRaised(error=text, error_type=error_type, execution_id=execution_id, status=outcome.status))
    metadata = {"model_calls": outcome.model_calls, "tool_calls": outcome.tool_calls}
    if outcome.error:
        metadata |= {"error": outcome.error}
    done = Done(
        execution_id=execution_id,
        status=outcome.status,
        response=outcome.response,
        usage=outcome.usage,
        metadata=metadata,
    )
    return (*events, done)


def without_secrets(workspace: Workspace) -> Workspace:
    """A run that is over needs its secrets no more."""
    kept = {name: value for name, value in workspace.env_vars.items() if name not in workspace.secrets}
    return workspace.model_copy(update={"env_vars": kept})
