"""Workers on demand, as they are stored and shared by the control planes of one database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.ids import ExecutionId, WorkerId, new_id
from kubiya_workers.contracts.keys import Scope
from kubiya_workers.contracts.workers import Worker, WorkerStatus
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.services import keys as key_service
from kubiya_workers.control_plane.services import provisions
from kubiya_workers.control_plane.services.provisions import ABANDONED_AFTER, Demand, Share
from kubiya_workers.control_plane.services.seeds import seed
from kubiya_workers.control_plane.store import environments, keys, queues, workers
from kubiya_workers.control_plane.store import provisions as store
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.control_plane.store.provisions import Provision, State

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
async def seeded(database: Database) -> None:
    await seed(database)


async def wanted(database: Database, *executions: str, keep: bool = False) -> None:
    """Executions that need a worker of their own, in this order."""
    for number, execution in enumerate(executions):
        async with database.writing() as connection:
            environment = await environments.find(connection, "default")
            assert environment is not None
            queue = provisions.queue_for(environment.id)
            queue = queue.model_copy(update={"created_at": NOW + timedelta(milliseconds=number)})
            await provisions.settle(connection, Demand(is_warm=False, keep=keep), queue, ExecutionId(execution))


async def shared(
    database: Database, owner: str = "one", *, limit: int = 2, warm: int = 0, now: datetime = NOW
) -> Share:
    return await provisions.share(database, owner, "process", limit=limit, warm=warm, now=now)


def executions(some: Sequence[Provision]) -> list[str | None]:
    return [one.execution_id for one in some]


async def polls(database: Database, one: Provision) -> None:
    """A worker polls the queue of one."""
    async with database.writing() as connection:
        queue = await queues.find(connection, one.queue_id)
        assert queue is not None
        worker = Worker(
            id=WorkerId(new_id()),
            queue_id=queue.id,
            queue_name=queue.name,
            environment_id=queue.environment_id,
            status=WorkerStatus.ACTIVE,
            registered_at=NOW,
            last_heartbeat=NOW,
        )
        await workers.insert(connection, worker, heartbeat_interval=30)


async def test_no_more_are_there_than_may_be_whoever_looks_after_them(database: Database) -> None:
    await wanted(database, "a", "b", "c")
    first = await shared(database)
    assert executions(first.mine) == ["a", "b"] and executions(first.waiting) == ["c"]
    assert {(one.owner, one.kind, one.state) for one in first.mine} == {("one", "process", State.SERVING)}
    other = await shared(database, "other")
    assert executions(other.mine) == [] and executions(other.waiting) == ["c"]
    await provisions.remove(database, Auth(database), first.mine[0])
    assert executions((await shared(database, "other")).mine) == ["c"]
    assert executions((await shared(database)).mine) == ["b"]


async def test_those_of_a_control_plane_that_is_gone_go_over_to_another(database: Database) -> None:
    await wanted(database, "a")
    assert executions((await shared(database)).mine) == ["a"]
    later = NOW + ABANDONED_AFTER
    assert executions((await shared(database, "other", now=later - timedelta(seconds=1))).mine) == []
    assert executions((await shared(database, "other", now=later)).mine) == ["a"]
    assert executions((await shared(database, now=later)).mine) == []


async def test_a_warm_one_is_given_away_once(database: Database) -> None:
    share = await shared(database, warm=1)
    [warm] = share.mine
    assert warm.execution_id is None and executions((await shared(database, warm=1)).mine) == [None]
    async with database.writing() as connection:
        environment = await environments.find(connection, "default")
        assert environment is not None
        assert await store.free(connection, environment.id) is None, "nobody polls it yet"
    await polls(database, warm)
    async with database.writing() as connection:
        assert await store.free(connection, environment.id) == (warm.queue_id, warm.name)
        queue = provisions.queue_for(environment.id, warm.name, warm.queue_id)
        await provisions.settle(connection, Demand(is_warm=True, keep=True), queue, ExecutionId("a"))
        assert await store.free(connection, environment.id) is None
        with pytest.raises(Conflict, match="another execution"):
            await provisions.settle(connection, Demand(is_warm=True, keep=False), queue, ExecutionId("b"))
    [given, new] = (await shared(database, warm=1)).mine
    assert (given.execution_id, given.keep, new.execution_id) == ("a", True, None)
    assert not await provisions.remove_warm(database, Auth(database), given), "it has an execution now"
    assert await provisions.remove_warm(database, Auth(database), new)


async def test_executions_come_before_warm_ones(database: Database) -> None:
    assert executions((await shared(database, limit=1, warm=2)).mine) == [None]
    await wanted(database, "a")
    share = await shared(database, limit=2, warm=2)
    assert sorted(executions(share.mine), key=str) == [None, "a"] and share.waiting == []


async def test_all_of_one_goes_with_it(database: Database) -> None:
    await wanted(database, "a", keep=True)
    auth = Auth(database)
    [one] = (await shared(database)).mine
    secret = await provisions.key_for(database, one)
    caller = await auth.authenticate_key(secret)
    assert (caller.scope, caller.queue_id) == (Scope.WORKER, one.queue_id)
    await polls(database, one)
    assert await provisions.has_worker(database, one.queue_id)
    await provisions.remove(database, auth, one, kept=True)
    async with database.reading() as connection:
        assert await queues.find(connection, one.queue_id) is None
        assert await workers.list_(connection, queue_id=one.queue_id) == []
        assert await keys.by_digest(connection, key_service.digest(secret)) is None
        left = await store.get(connection, one.queue_id)
        assert left is not None and left.state is State.KEPT
    with pytest.raises(Exception, match="key"):
        await auth.authenticate_key(secret)
    assert not (await shared(database, limit=1)).mine, "what is kept takes no place"
    await provisions.remove(database, auth, one)
    assert await provisions.find(database, one.queue_id) is None
