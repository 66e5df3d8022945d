"""Workers in one line each, as `kubiya worker list` and the web interface show them."""

from kubiya_workers.contracts.pool import Listed, Mode, Record, WorkerReport, WorkerType
from kubiya_workers.contracts.workers import Worker


def here(record: Record, report: WorkerReport | None) -> Listed:
    """One of this machine, as its keeper and itself tell of it."""
    return Listed(
        queue=record.queue,
        type=WorkerType.DAEMON if record.mode is Mode.DAEMON else WorkerType.LOCAL,
        state="paused" if report and report.pause else record.state,
        hostname=report.hostname if report else None,
        pid=record.worker.pid if record.worker else None,
        worker_id=record.worker_id,
        started_at=None if record.state.is_over else record.worker_started_at,
        restarts=record.restarts,
        tasks=report.tasks_completed + report.tasks_failed if report else None,
        version=record.version,
    )


def elsewhere(worker: Worker) -> Listed:
    """One that the control plane knows."""
    return Listed(
        queue=worker.queue_name,
        type=WorkerType.REMOTE,
        state=worker.status,
        hostname=worker.hostname,
        pid=worker.pid,
        worker_id=worker.id,
        started_at=worker.registered_at if worker.status.is_live else None,
        tasks=worker.tasks_processed,
        version=worker.version,
    )
