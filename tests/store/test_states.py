"""What is counted for monitoring: the open, the live and the newly lost, by queue."""

from datetime import timedelta
from typing import Any

from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import EnvironmentId, QueueId, WorkerId, new_id
from kubiya_workers.contracts.workers import Worker, WorkerStatus
from kubiya_workers.control_plane.store import environments, queues, states, workers
from kubiya_workers.control_plane.store.database import Database

from .test_executions import run, store
from .test_resources import NOW, environment, queue


def worker(queue_id: QueueId, name: str, status: WorkerStatus, **fields: Any) -> Worker:
    return Worker(
        id=WorkerId(new_id()),
        queue_id=queue_id,
        queue_name=name,
        environment_id=EnvironmentId("e"),
        status=status,
        registered_at=NOW,
        **{"last_heartbeat": NOW, **fields},
    )


async def test_workers_are_counted_by_queue_and_state(database: Database) -> None:
    place = environment()
    main, brief = queue(place.id), queue(place.id, "brief", ephemeral=True)
    gone = WorkerStatus.LOST
    rows = [
        worker(main.id, "main", WorkerStatus.ACTIVE),
        worker(main.id, "main", WorkerStatus.ACTIVE, last_heartbeat=NOW - timedelta(minutes=1)),
        worker(main.id, "main", WorkerStatus.CRASH_LOOPING),
        worker(main.id, "main", gone, disconnected_at=NOW),
        worker(main.id, "main", gone, disconnected_at=NOW - timedelta(hours=2)),
        worker(main.id, "main", WorkerStatus.DISCONNECTED, disconnected_at=NOW),
        worker(brief.id, "brief", WorkerStatus.PAUSED),
        worker(QueueId("deleted"), "deleted", gone, disconnected_at=NOW),
    ]
    async with database.writing() as connection:
        await environments.insert(connection, place)
        await queues.insert(connection, main)
        await queues.insert(connection, brief)
        for row in rows:
            await workers.insert(connection, row, heartbeat_interval=30)
    async with database.reading() as connection:
        counted = await states.workers(connection, lost_since=NOW - timedelta(hours=1))
    assert {(row.queue, row.ephemeral, row.status): row.number for row in counted} == {
        ("main", False, WorkerStatus.ACTIVE): 2,
        ("main", False, WorkerStatus.CRASH_LOOPING): 1,
        ("main", False, WorkerStatus.LOST): 1,
        ("brief", True, WorkerStatus.PAUSED): 1,
        ("deleted", True, WorkerStatus.LOST): 1,
    }
    active = next(row for row in counted if row.status is WorkerStatus.ACTIVE)
    assert active.oldest_heartbeat == NOW - timedelta(minutes=1)


async def test_open_executions_are_counted_by_queue_and_status(database: Database) -> None:
    place = environment()
    main = queue(place.id)
    async with database.writing() as connection:
        await environments.insert(connection, place)
        await queues.insert(connection, main)
    statuses = (Status.RUNNING, Status.RUNNING, Status.PENDING, Status.COMPLETED)
    await store(database, *(run(status=status, worker_queue_id=main.id) for status in statuses))
    await store(database, run(status=Status.PENDING))
    async with database.reading() as connection:
        counted = await states.open_runs(connection)
    assert {(row.queue, row.status): row.number for row in counted} == {
        ("main", Status.RUNNING): 2,
        ("main", Status.PENDING): 1,
        (states.NO_QUEUE, Status.PENDING): 1,
    }
