"""Workers on demand, as they are stored: what is wanted, who looks after it, and what goes with it.

    wanted → serving → (removed)            wanted → serving → kept → (removed)

Each is for one execution and has a queue of its own, which is made with it in the transaction that stores the
execution, and goes with it. A warm one has its queue first and is given an execution later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.environments import DEFAULT_ENVIRONMENT
from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.executions import Execution, Status
from kubiya_workers.contracts.ids import EnvironmentId, ExecutionId, KeyId, QueueId, new_id
from kubiya_workers.contracts.keys import NewKey, Scope
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.workers import WorkerStatus

from ..auth import Auth
from ..store import dialects, environments, executions, keys, workers
from ..store import provisions as store
from ..store import queues as queue_store
from ..store.database import Database
from ..store.provisions import Provision, State
from . import keys as key_service
from . import queues

ABANDONED_AFTER = timedelta(seconds=60)
"""A control plane that was not heard for so long is gone: another one looks after its workers."""
_MATTER = 0x6B75_6264
_ORPHANED_AFTER_S = 3600
"""When the queue is deleted of one that nobody looks after any more."""


@dataclass(frozen=True)
class Demand:
    """That an execution needs a worker of its own. `is_warm`: the queue is there, and a worker polls it."""

    is_warm: bool
    keep: bool


class Taken(Conflict):
    """Somebody else was given the warm worker."""


def queue_for(environment_id: EnvironmentId, name: str | None = None, queue_id: QueueId | None = None) -> Queue:
    """The queue of a worker on demand, which is stored by `order`; a warm one is there already."""
    made, now = queue_id or QueueId(new_id()), datetime.now(UTC)
    return Queue(
        id=made,
        environment_id=environment_id,
        name=name or f"on-demand-{token_hex(4)}",
        description="A worker for one execution",
        task_queue_name=made,
        ephemeral=True,
        single_execution_mode=True,
        auto_cleanup_after_seconds=_ORPHANED_AFTER_S,
        created_at=now,
        updated_at=now,
    )


async def settle(connection: AsyncConnection, demand: Demand, queue: Queue, execution_id: ExecutionId) -> None:
    """See to it, in the transaction that stores an execution, that it gets its worker.

    Raises:
        Taken: the warm one has another execution now.
    """
    if not demand.is_warm:
        await order(connection, queue, execution_id, keep=demand.keep)
    elif not await store.take(connection, queue.id, execution_id, keep=demand.keep):
        raise Taken(f"the worker on queue {queue.name} was given another execution")


async def order(
    connection: AsyncConnection, queue: Queue, execution_id: ExecutionId | None, *, keep: bool = False
) -> None:
    """Store a queue, and that a worker is wanted on it."""
    await queue_store.insert(connection, queue.model_copy(update={"parent_execution_id": execution_id}))
    wanted = Provision(
        queue_id=queue.id,
        name=queue.name,
        execution_id=execution_id,
        state=State.WANTED,
        created_at=queue.created_at,
        seen_at=queue.created_at,
        keep=keep,
    )
    await store.insert(connection, wanted)


@dataclass(frozen=True)
class Share:
    """What one look at all that is wanted gives a control plane: `mine` to look after, `waiting` for others to end."""

    mine: Sequence[Provision]
    waiting: Sequence[Provision]


async def share(database: Database, owner: str, kind: str, *, limit: int, warm: int, now: datetime) -> Share:
    """Take what is wanted while fewer than `limit` are there, and order warm ones where executions leave room.

    One control plane at a time does this, so that the limit holds for all of one database.
    """
    if not warm and not await _any(database):
        return Share((), ())  # the common case, which costs no turn at writing
    async with database.writing() as connection:
        await dialects.one_at_a_time(connection, _MATTER)
        await store.seen(connection, owner, now)
        there = [await _adopted(connection, one, owner, kind, now) for one in await _serving(connection)]
        await _order_warm(connection, there, warm)
        wanted = await store.in_state(connection, State.WANTED)
        room = max(0, limit - len(there))
        for one in wanted[:room]:
            there.append(await _own(connection, one, owner, kind, now))
    waiting = [one for one in wanted[room:] if one.execution_id is not None]
    return Share([one for one in there if one.owner == owner], waiting)


async def _any(database: Database) -> bool:
    async with database.reading() as connection:
        return await store.any_(connection)


async def _serving(connection: AsyncConnection) -> Sequence[Provision]:
    return await store.in_state(connection, State.SERVING)


async def _adopted(connection: AsyncConnection, one: Provision, owner: str, kind: str, now: datetime) -> Provision:
    """As it is; another owner's whose control plane is gone becomes ours."""
    is_ours = one.owner == owner and one.kind == kind
    if is_ours or (one.owner != owner and now - one.seen_at < ABANDONED_AFTER):
        return one
    return await _own(connection, one, owner, kind, now)


async def _own(connection: AsyncConnection, one: Provision, owner: str, kind: str, now: datetime) -> Provision:
    await store.change(connection, one.queue_id, state=State.SERVING.value, owner=owner, kind=kind, seen_at=now)
    found = await store.get(connection, one.queue_id)
    assert found is not None  # within this transaction
    return found


async def _order_warm(connection: AsyncConnection, there: Sequence[Provision], warm: int) -> None:
    if not warm:
        return
    wanted = await store.in_state(connection, State.WANTED)
    waits = sum(one.execution_id is None for one in (*there, *wanted))
    environment = await environments.find(connection, DEFAULT_ENVIRONMENT)
    if environment is None:
        return
    for _ in range(warm - waits):
        await order(connection, queue_for(environment.id), None)


async def find(database: Database, queue_id: str) -> tuple[Provision, Execution | None] | None:
    """It as it is now, and its execution; None when it was removed. A warm one has no execution."""
    async with database.reading() as connection:
        one = await store.get(connection, queue_id)
        if one is None:
            return None
        return one, None if one.execution_id is None else await executions.get(connection, one.execution_id)


async def has_worker(database: Database, queue_id: QueueId) -> bool:
    """Whether a worker is live on the queue."""
    async with database.reading() as connection:
        return await workers.count_live(connection, queue_id) > 0


async def note_attempt(database: Database, queue_id: QueueId, attempt: int) -> None:
    async with database.writing() as connection:
        await store.change(connection, queue_id, attempt=attempt)


async def key_for(database: Database, one: Provision) -> str:
    """A key that registers workers of its queue, and does nothing else; it is deleted with it."""
    made = await key_service.create(database, NewKey(name=one.name, scope=Scope.WORKER, queue_id=one.queue_id))
    return made.key


async def of_owner(database: Database, owner: str) -> Sequence[Provision]:
    async with database.reading() as connection:
        return await store.of_owner(connection, owner)


async def remove_warm(database: Database, auth: Auth, one: Provision) -> bool:
    """Remove a warm one, whose worker is gone; False when an execution was given to it meanwhile."""
    async with database.writing() as connection:
        if not await store.delete_warm(connection, one.queue_id):
            return False
        gone = await _clear(connection, one, datetime.now(UTC))
    for key_id in gone:
        auth.forget(key_id)
    return True


async def remove(database: Database, auth: Auth, one: Provision, *, kept: bool = False) -> None:
    """Remove all that is stored of it, once its execution is over; `kept` leaves a note of what stays outside."""
    async with database.writing() as connection:
        gone = await _clear(connection, one, datetime.now(UTC))
        if kept:
            await store.change(connection, one.queue_id, state=State.KEPT.value)
        else:
            await store.delete(connection, one.queue_id)
    for key_id in gone:
        auth.forget(key_id)


async def _clear(connection: AsyncConnection, one: Provision, now: datetime) -> Sequence[KeyId]:
    """Its queue, its workers and their keys; the ids of the keys."""
    for worker in await workers.list_(connection, queue_id=one.queue_id, live=True):
        await workers.end(connection, worker.id, WorkerStatus.DISCONNECTED, now, reason="its execution is over")
    gone = await keys.delete_of_queue(connection, one.queue_id)
    await queues.drop(connection, one.queue_id)
    return gone


async def told(connection: AsyncConnection, execution: Execution) -> str | None:
    """What an execution waits for whose own worker nobody sees poll; None where it has none of its own."""
    one = await store.get(connection, execution.worker_queue_id or "")
    if one is None or one.execution_id != execution.id:
        return None
    if one.state is State.WANTED:
        line = await store.in_state(connection, State.WANTED)
        ahead = [other.queue_id for other in line].index(one.queue_id)
        return f"{execution.status_reason}; " + (f"{ahead} before it" if ahead else "it is the next")
    return execution.status_reason if execution.status is Status.PENDING else "a worker on demand, in place of one lost"


def in_line(limit: int) -> str:
    """What executions wait for when all workers on demand are there that may be."""
    return f"a worker on demand: all {limit} that may be there at once are at work (KUBIYA_MAX_PROVISIONED)"
