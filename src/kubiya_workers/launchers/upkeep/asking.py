"""Asking the workers of this machine how they are."""

from pydantic import ValidationError

from kubiya_workers.contracts.pool import Record, WorkerReport
from kubiya_workers.contracts.usage import CallReport, ModelCalls

from .. import probe


async def report_of(record: Record | None) -> WorkerReport | None:
    """What the worker says of itself; None when there is none, or none that answers."""
    if record is None or record.health is None or record.state.is_over:
        return None
    answered = await probe.answer(record.health, "/status")
    if answered is None or answered[0] != 200:
        return None
    try:
        report = WorkerReport.model_validate_json(answered[1])
    except ValidationError:
        return None
    # The port of a worker that is gone may be another's by now.
    return report if record.worker is not None and report.pid == record.worker.pid else None


async def calls_of(record: Record | None) -> tuple[ModelCalls, ...]:
    """The worker's calls to models; none where there is no worker that tells."""
    if record is None or record.health is None or record.state.is_over:
        return ()
    answered = await probe.answer(record.health, "/calls")
    if answered is None or answered[0] != 200:
        return ()
    try:
        return CallReport.model_validate_json(answered[1]).models
    except ValidationError:
        return ()
