"""Workers: they register, beat and leave; one that goes silent is lost, and its token with it.

    register → active ⇄ paused, draining → disconnected
                  └── 3 heartbeats missed, or its supervisor says it crashed ──→ lost ⇄ crash-looping

A worker that is no longer live is told so by 401 (its token is revoked) or 409, and registers anew.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.environments import DEFAULT_ENVIRONMENT
from kubiya_workers.contracts.errors import Conflict, Forbidden, Invalid, NotFound
from kubiya_workers.contracts.ids import KeyId, WorkerId, new_id
from kubiya_workers.contracts.keys import Caller, Key, Scope
from kubiya_workers.contracts.queues import NewQueue, Queue
from kubiya_workers.contracts.workers import (
    Action,
    AskedOf,
    Disconnect,
    Heartbeat,
    Registration,
    SystemInfo,
    Wish,
    Worker,
    WorkerStatus,
)
from kubiya_workers.control_plane import auth as credentials
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.store import environments as environment_store
from kubiya_workers.control_plane.store import keys
from kubiya_workers.control_plane.store import queues as queue_store
from kubiya_workers.control_plane.store import workers as store
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.control_plane.store.workers import Pulse

from . import environments, queues
from .enrolment import Enrolled
from .names import check_name

MISSED_BEATS = 3
"""So many heartbeats in a row must be missed before a worker counts as lost."""
TOKENS_KEPT = timedelta(days=1)
LOOP_HEARD_WITHIN = timedelta(minutes=5)
"""A supervisor tries each minute, and says so each time: one that is silent for longer is gone itself."""


async def register(database: Database, caller: Caller, queue_ref: str, asked: Registration) -> Enrolled:
    """Make a worker on a queue, with a token of its own; a queue of an unknown name is made.

    Raises:
        Forbidden: the caller is a worker's token, or a key for another queue.
        Invalid: `queue_ref` names no queue and cannot name a new one.
        NotFound: no such environment to make the queue in.
        Conflict: the queue has its full number of workers.
    """
    if caller.worker_id is not None:
        raise Forbidden("a worker's own token cannot register workers", fix="Use the key that it was started with.")
    try:
        return await _register(database, caller, queue_ref, asked)
    except _MadeMeanwhile:
        return await _register(database, caller, queue_ref, asked)


class _MadeMeanwhile(Exception):
    """Another control plane was first to make the queue."""


async def _register(database: Database, caller: Caller, queue_ref: str, asked: Registration) -> Enrolled:
    async with database.writing() as connection:
        queue = await _queue(connection, queue_ref, asked)
        _check_queue(caller, queue)
        await _check_room(connection, queue)
        environment = await environment_store.get(connection, queue.environment_id)
        worker = _worker(queue, asked)
        interval = asked.heartbeat_interval or queue.heartbeat_interval
        await store.insert(connection, worker, heartbeat_interval=interval)
        if worker.hostname is not None:
            await store.end_loop(connection, queue.id, worker.hostname)
        token = await _give_token(connection, worker, caller.key_id)
    name = environment.name if environment else DEFAULT_ENVIRONMENT
    return Enrolled(worker=worker, token=token, queue=queue, environment_name=name, heartbeat_interval=interval)


async def list_(database: Database, *, live: bool | None, skip: int, limit: int) -> Sequence[Worker]:
    """Newest first."""
    async with database.reading() as connection:
        return await store.list_(connection, live=live, skip=skip, limit=limit)


async def get(database: Database, worker_id: WorkerId) -> Worker:
    """Raises `NotFound`."""
    async with database.reading() as connection:
        return await _find(connection, worker_id)


async def beat(database: Database, caller: Caller, worker_id: WorkerId, heartbeat: Heartbeat) -> Wish | None:
    """Note that a worker lives, and what it has heard; what is still wanted of it.

    Raises:
        Forbidden: the caller is another worker.
        Invalid: a heartbeat that says its sender is gone.
        NotFound, Conflict: there is no such worker, or it is not live any more; it has to register anew.
    """
    credentials.check_own_worker(caller, worker_id)
    if not heartbeat.status.is_live:
        raise Invalid(f"a heartbeat cannot say {heartbeat.status}", fix="Post to /disconnect to leave.")
    now = datetime.now(UTC)
    async with database.writing() as connection:
        if not await store.beat(connection, worker_id, heartbeat, now):
            worker = await _find(connection, worker_id)
            raise Conflict(f"worker {worker_id} is {worker.status}", fix="Register again.")
        # The row is ours since it was written: nobody asks for something else meanwhile.
        wish, heard = await store.wish_of(connection, worker_id), heartbeat.heard
        if wish is None or wish.heard_at is not None:
            return None
        if heard is None or heard.id != wish.id:
            return wish
        await store.ask(connection, worker_id, wish.model_copy(update={"heard_at": now, "refused": heard.refused}))
        return None


async def ask(database: Database, caller: Caller, worker_id: WorkerId, action: Action, asked: AskedOf) -> Worker:
    """Keep a wish until the worker has heard of it; it takes the place of one before.

    Raises:
        NotFound: no such worker.
        Conflict: it is gone, or cannot be asked this now.
    """
    wish = Wish(id=new_id(), action=action, asked_by=caller.name, asked_at=datetime.now(UTC), **asked.model_dump())
    async with database.writing() as connection:
        worker = await _find(connection, worker_id)
        if action not in worker.can:
            raise Conflict(_why_not(worker, action), fix=f"kubiya worker list shows what runs on {worker.queue_name}.")
        if not await store.ask(connection, worker_id, wish):
            raise Conflict(f"worker {worker_id} has just gone", fix="kubiya worker list")
    return worker.model_copy(update={"wish": wish})


async def disconnect(database: Database, auth: Auth, caller: Caller, worker_id: WorkerId, leave: Disconnect) -> None:
    """A worker leaves: its token ends with this. Leaving twice is fine.

    Raises:
        Forbidden: the caller is another worker.
        NotFound: no such worker.
    """
    credentials.check_own_worker(caller, worker_id)
    async with database.writing() as connection:
        worker = await _find(connection, worker_id)
        reason = leave.reason if leave.error_message is None else f"{leave.reason}: {leave.error_message}"
        await _end(connection, worker, WorkerStatus.DISCONNECTED, datetime.now(UTC), reason)
    auth.forget_worker(worker_id)


async def end_those_of(connection: AsyncConnection, key_id: KeyId, now: datetime) -> Sequence[WorkerId]:
    """The workers that were registered with a key are lost, since it was revoked; which they were."""
    gone = await keys.live_workers_of(connection, key_id)
    for worker_id in gone:
        await keys.revoke_worker(connection, worker_id, now)
        worker = await store.get(connection, worker_id)
        if worker is not None:
            await _end(connection, worker, WorkerStatus.LOST, now, "the key that it was registered with was revoked")
    return gone


async def mark_lost(
    database: Database, now: datetime, *, auth: Auth | None = None, steady: timedelta = timedelta.max
) -> list[WorkerId]:
    """Mark the workers that missed their heartbeats as lost, and revoke their tokens; those marked just now.

    With `auth`, this process refuses their tokens at once, and not only when it has forgotten them. `steady` is for
    how long the clock has not jumped.
    """
    async with database.reading() as connection:
        silent = [pulse for pulse in await store.pulses(connection) if is_lost(pulse, now, steady)]
    async with database.writing() as connection:
        await store.end_silent_loops(connection, now - LOOP_HEARD_WITHIN)
    return [pulse.id for pulse in silent if await _lose(database, auth, pulse, now)]


def is_lost(pulse: Pulse, now: datetime, steady: timedelta = timedelta.max) -> bool:
    """Whether a worker has missed so many heartbeats that its work must go on elsewhere.

    Its last one was heard by another clock where that has jumped since: then it is given its time anew. One that was
    heard in the future has been silent since the clock was set back.
    """
    patience = MISSED_BEATS * timedelta(seconds=pulse.heartbeat_interval)
    return abs(now - pulse.last_heartbeat) > patience and steady > patience


async def _lose(database: Database, auth: Auth | None, pulse: Pulse, now: datetime) -> bool:
    async with database.writing() as connection:
        worker = await _find(connection, pulse.id)
        reason = f"{MISSED_BEATS} heartbeats missed"
        # It may have been heard since it was read: then it is not lost.
        lost = await _end(connection, worker, WorkerStatus.LOST, now, reason, unheard_since=pulse.last_heartbeat)
        await keys.forget_revoked_tokens(connection, now - TOKENS_KEPT)
    if lost and auth is not None:
        auth.forget_worker(pulse.id)
    return lost


async def _end(
    connection: AsyncConnection,
    worker: Worker,
    status: WorkerStatus,
    now: datetime,
    reason: str,
    *,
    unheard_since: datetime | None = None,
) -> bool:
    if not await store.end(connection, worker.id, status, now, reason=reason, unheard_since=unheard_since):
        return False
    await keys.revoke_worker(connection, worker.id, now)
    queue = await queue_store.find(connection, worker.queue_id)
    if queue is not None and _goes_with_its_workers(queue) and await queues.is_unused(connection, queue.id):
        await queues.drop(connection, queue.id)
    return True


def _goes_with_its_workers(queue: Queue) -> bool:
    return queue.ephemeral and not queue.auto_cleanup_after_seconds


async def _queue(connection: AsyncConnection, ref: str, asked: Registration) -> Queue:
    found = await queue_store.find(connection, ref)
    if found is None:
        check_name("a worker queue", ref)
        owner = await environments.find(connection, asked.environment_name or DEFAULT_ENVIRONMENT)
        # Made for one execution, it goes with the worker that takes it.
        new = NewQueue(name=ref, ephemeral=asked.single_execution, single_execution_mode=asked.single_execution)
        try:
            return await queues.add(connection, owner.id, new)
        except Conflict:
            raise _MadeMeanwhile from None
    await queue_store.lock(connection, found.id)
    return found


def _check_queue(caller: Caller, queue: Queue) -> None:
    if caller.scope is Scope.WORKER and caller.queue_id not in (None, queue.id):
        raise Forbidden(f"this key registers workers of another queue than {queue.name!r}")


async def _check_room(connection: AsyncConnection, queue: Queue) -> None:
    if queue.max_workers is None:
        return
    live = await store.count_live(connection, queue.id)
    if live >= queue.max_workers:
        raise Conflict(
            f"worker queue {queue.name!r} has {live} of at most {queue.max_workers} workers",
            fix="Stop one of them, or raise the queue's max_workers.",
        )


def _worker(queue: Queue, asked: Registration) -> Worker:
    system, now = asked.system_info or SystemInfo(), datetime.now(UTC)
    return Worker(
        id=WorkerId(new_id()),
        queue_id=queue.id,
        queue_name=queue.name,
        environment_id=queue.environment_id,
        status=WorkerStatus.ACTIVE,
        hostname=system.hostname,
        pid=system.pid,
        version=asked.worker_sdk_version,
        system_info=system.model_dump(exclude_none=True),
        registered_at=now,
        last_heartbeat=now,
    )


async def _give_token(connection: AsyncConnection, worker: Worker, registered_by: KeyId) -> str:
    token = credentials.new_key()
    key = Key(
        id=KeyId(new_id()),
        name=f"worker {worker.id}",
        scope=Scope.WORKER,
        prefix=credentials.shown_prefix(token),
        worker_id=worker.id,
        queue_id=worker.queue_id,
        created_at=worker.registered_at,
        registered_by=registered_by,
    )
    await keys.insert(connection, key, credentials.digest(token))
    return token


def _why_not(worker: Worker, action: Action) -> str:
    if not worker.status.is_live:
        why = f", {worker.disconnect_reason}" if worker.disconnect_reason else ""
        return f"worker {worker.id} is {worker.status}{why}: it hears nothing any more"
    if not worker.hears:
        return f"worker {worker.id} has not said that it can be asked anything: its version may be an older one"
    if action is Action.RESTART and worker.status is not WorkerStatus.DRAINING:
        return f"worker {worker.id} is kept by nobody who could start it again"
    return f"worker {worker.id} is {worker.status}: it cannot be asked to {action} now"


async def _find(connection: AsyncConnection, worker_id: WorkerId) -> Worker:
    worker = await store.get(connection, worker_id)
    if worker is None:
        raise NotFound(f"no worker {worker_id}", fix="Register it again.")
    return worker
