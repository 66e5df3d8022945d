"""Asking the workers of this machine how they are."""

from pydantic import ValidationError

from kubiya_workers.contracts.pool import Record, WorkerReport

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
