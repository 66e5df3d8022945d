"""Worker queues: where executions wait and workers poll. A queue's id is its Temporal task queue, so that a queue made
anew under an old name never meets what was left on the old one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.executions import Execution, Status
from kubiya_workers.contracts.ids import EnvironmentId, QueueId, new_id
from kubiya_workers.contracts.queues import NewQueue, Queue, QueueBacklog, QueuePatch
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.contracts.workers import Worker
from kubiya_workers.control_plane.store import environments as environment_store
from kubiya_workers.control_plane.store import executions, states, workers
from kubiya_workers.control_plane.store import queues as store
from kubiya_workers.control_plane.store.database import Database

from . import environments
from .names import check_name
from .patches import patched

IDLE_EPHEMERAL_S = 300
"""Seconds that an ephemeral queue which says nothing else is kept with nobody on it."""


async def list_(database: Database, *, environment: str | None = None, skip: int, limit: int) -> Sequence[Queue]:
    """All queues, or those of an environment (by id or name). Raises `NotFound`."""
    async with database.reading() as connection:
        found = await environments.find(connection, environment) if environment else None
        return await store.list_(connection, environment_id=found.id if found else None, skip=skip, limit=limit)


async def get(database: Database, ref: str) -> Queue:
    """By id or name. Raises `NotFound`."""
    async with database.reading() as connection:
        return await find(connection, ref)


async def create(database: Database, environment: str, new: NewQueue) -> Queue:
    """Raises `Invalid` for a bad name, `Conflict` for a taken one, `NotFound` for an unknown environment."""
    check_name("a worker queue", new.name)
    async with database.writing() as connection:
        return await add(connection, (await environments.find(connection, environment)).id, new)


async def add(connection: AsyncConnection, environment_id: EnvironmentId, new: NewQueue) -> Queue:
    """Within a transaction."""
    now, queue_id = datetime.now(UTC), QueueId(new_id())
    queue = Queue(
        id=queue_id,
        environment_id=environment_id,
        task_queue_name=queue_id,
        created_at=now,
        updated_at=now,
        **new.model_dump(),
    )
    await store.insert(connection, queue)
    return queue


async def change(database: Database, ref: str, patch: QueuePatch) -> Queue:
    """Raises `NotFound`, `Invalid`."""
    async with database.writing() as connection:
        new = patched(await find(connection, ref), patch.changes())
        await store.update(connection, new)
    return new


async def remove(database: Database, ref: str, *, force: bool = False) -> None:
    """Raises `NotFound`, or `Conflict` while workers are live on it and `force` is not said."""
    async with database.writing() as connection:
        queue = await find(connection, ref)
        await store.lock(connection, queue.id)
        if queue.active_workers and not force:
            raise Conflict(
                f"worker queue {queue.name!r} has {queue.active_workers} live worker(s)",
                fix="Stop them first, or delete it with force=true.",
            )
        await drop(connection, queue.id)


async def drop(connection: AsyncConnection, queue_id: QueueId) -> None:
    """Delete a queue and the rows of its gone workers, within a transaction."""
    await workers.delete_gone(connection, queue_id)
    await store.delete(connection, queue_id)


async def find(connection: AsyncConnection, ref: str) -> Queue:
    """By id or name, within a transaction. Raises `NotFound`."""
    queue = await store.find(connection, ref)
    if queue is None:
        fix = f"Start a worker on it: kubiya worker start --queue-id={ref} --type=local"
        raise NotFound(f"no worker queue {ref!r}", fix=fix)
    return queue


async def workers_of(database: Database, ref: str, *, live: bool | None, skip: int, limit: int) -> Sequence[Worker]:
    """Newest first. Raises `NotFound`."""
    async with database.reading() as connection:
        queue = await find(connection, ref)
        return await workers.list_(connection, queue_id=queue.id, live=live, skip=skip, limit=limit)


async def id_of(database: Database, ref: str) -> str:
    """The id of a queue that is named by id or name; what names none stays as it is: nothing is found under it."""
    async with database.reading() as connection:
        queue = await store.find(connection, ref)
    return queue.id if queue else ref


async def executions_of(
    database: Database, ref: str, *, status: Status | None, skip: int, limit: int
) -> Sequence[Execution]:
    """Newest first. Raises `NotFound`."""
    async with database.reading() as connection:
        queue = await find(connection, ref)
        wanted = executions.Filter(queue_id=queue.id, status=status)
        return await executions.list_(connection, wanted, skip=skip, limit=limit)


async def config(database: Database, ref: str) -> JsonObject:
    """What a worker of this queue is configured with. Raises `NotFound`."""
    async with database.reading() as connection:
        queue = await find(connection, ref)
        environment = await environment_store.get(connection, queue.environment_id)
    return {
        "queue_id": queue.id,
        "queue_name": queue.name,
        "environment_id": queue.environment_id,
        "environment_name": environment.name if environment else None,
        "task_queue_name": queue.task_queue_name,
        "heartbeat_interval": queue.heartbeat_interval,
        "max_workers": queue.max_workers,
        "ephemeral": queue.ephemeral,
        "single_execution_mode": queue.single_execution_mode,
        "settings": queue.settings,
    }


async def metrics(database: Database, ref: str) -> JsonObject:
    """Workers and executions of a queue, counted now. Raises `NotFound`."""
    async with database.reading() as connection:
        queue = await find(connection, ref)
        live = await workers.list_(connection, queue_id=queue.id, live=True)
        counts = await executions.count_by_status(connection, queue.id)
    return {
        "queue_id": queue.id,
        "active_workers": len(live),
        "paused_workers": queue.paused_workers,
        "lost_workers": queue.lost_workers,
        "crash_looping_workers": queue.crash_looping_workers,
        "busy_workers": sum(worker.current_task_id is not None for worker in live),
        "tasks_processed": sum(worker.tasks_processed for worker in live),
        "executions": {status.value: counts.get(status, 0) for status in Status},
    }


async def backlog(database: Database) -> Sequence[QueueBacklog]:
    """The queues in which executions wait for somebody to take them."""
    async with database.reading() as connection:
        live = await states.workers(connection, lost_since=datetime.now(UTC))
        return waiting(live, await states.open_runs(connection))


def waiting(workers: Sequence[states.WorkersOfQueue], runs: Sequence[states.OpenRuns]) -> Sequence[QueueBacklog]:
    """By queue: what nobody has begun and, where no worker lives, what was begun and cannot go on."""
    kept = {row.queue for row in workers if row.status.is_live}
    counts: dict[str, int] = {}
    for row in runs:
        stands = row.status is Status.PENDING or (row.status is Status.RUNNING and row.queue not in kept)
        if stands and row.queue != states.NO_QUEUE:
            counts[row.queue] = counts.get(row.queue, 0) + row.number
    return [QueueBacklog(queue=queue, executions=n, has_worker=queue in kept) for queue, n in sorted(counts.items())]


def worker_command(queue: Queue, url: str) -> JsonObject:
    """How to start a worker on this queue; the key is named, never shown."""
    command = f"kubiya worker start --queue-id={queue.id} --type=local"
    return {
        "queue_id": queue.id,
        "command": command,
        "environment": {"CONTROL_PLANE_URL": url, "KUBIYA_API_KEY": "<your key>"},
        "command_with_environment": f"CONTROL_PLANE_URL={url} KUBIYA_API_KEY=<your key> {command}",
    }


async def clean_up(database: Database, now: datetime) -> list[QueueId]:
    """Delete the queues that may go and have had nobody and nothing on them for long enough."""
    async with database.reading() as connection:
        candidates = [
            queue
            for queue in await store.list_(connection)
            if not queue.active_workers and _idle_limit(queue) is not None
        ]
    deleted: list[QueueId] = []
    for queue in candidates:
        async with database.writing() as connection:
            if await _is_stale(connection, queue, now):
                await drop(connection, queue.id)
                deleted.append(queue.id)
    return deleted


async def is_unused(connection: AsyncConnection, queue_id: QueueId) -> bool:
    """Whether no worker is live on it and no execution of it is open."""
    if await workers.count_live(connection, queue_id):
        return False
    counts = await executions.count_by_status(connection, queue_id)
    return all(status.is_terminal for status in counts)


async def _is_stale(connection: AsyncConnection, queue: Queue, now: datetime) -> bool:
    limit = _idle_limit(queue)
    await store.lock(connection, queue.id)
    if limit is None or not await is_unused(connection, queue.id):
        return False
    last_worker = await workers.list_(connection, queue_id=queue.id, limit=1)
    last_run = await executions.list_(connection, executions.Filter(queue_id=queue.id), limit=1)
    moments = [queue.updated_at, *(w.disconnected_at or w.last_heartbeat for w in last_worker)]
    moments += [run.updated_at for run in last_run]
    return now - max(moments) > limit


def _idle_limit(queue: Queue) -> timedelta | None:
    """How long a queue is kept idle; None for ever."""
    if queue.auto_cleanup_after_seconds is not None:
        return timedelta(seconds=queue.auto_cleanup_after_seconds)
    return timedelta(seconds=IDLE_EPHEMERAL_S) if queue.ephemeral else None
