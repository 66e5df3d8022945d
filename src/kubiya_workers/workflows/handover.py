"""When a run continues as new: before its history grows past what Temporal likes to replay."""

from temporalio import workflow

from kubiya_workers.contracts.executions import RunStart


def is_due(start: RunStart) -> bool:
    info = workflow.info()
    if start.handover_events is not None and info.get_current_history_length() >= start.handover_events:
        return True
    return info.is_continue_as_new_suggested()
