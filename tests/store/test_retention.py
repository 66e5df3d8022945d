"""What is removed with time, and what never is."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import QueueId, WorkerId
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.usage import UsageBy
from kubiya_workers.control_plane.retention import BODIES_KEPT, MARGIN, Retention
from kubiya_workers.control_plane.services.objects import ObjectStore
from kubiya_workers.control_plane.store import executions, provisions, usage
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.control_plane.store.provisions import Provision, State

from .test_executions import run, store

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects")


def over(ago: timedelta, status: Status = Status.COMPLETED) -> executions.StoredRun:
    return run(status=status, completed_at=NOW - ago)


async def put(objects: ObjectStore, body: bytes, ago: timedelta) -> str:
    """A body that was last stored so long ago."""
    digest = await objects.put(body)
    moment = (NOW - ago).timestamp()
    os.utime(objects.path(digest), (moment, moment))
    return digest


async def test_executions_are_kept_for_as_long_as_people_want(database: Database, objects: ObjectStore) -> None:
    old, failed, fresh, running = over(31 * DAY), over(40 * DAY, Status.FAILED), over(29 * DAY), run()
    helped = over(31 * DAY)
    await store(database, old, failed, fresh, running, helped)
    async with database.writing() as connection:
        await provisions.insert(connection, Provision(QueueId("q"), "q", helped.execution.id, State.KEPT, NOW, NOW))
        used = Usage(input_tokens=5)
        await usage.add_step(
            connection, old.execution.id, 1, model="m", used=used, worker_id=WorkerId("w"), now=NOW - 31 * DAY
        )

    assert await Retention(database, objects, None).tidy(NOW) == (0, 0)
    assert await Retention(database, objects, 30 * DAY).tidy(NOW) == (2, 0)
    assert await Retention(database, objects, 30 * DAY).tidy(NOW) == (0, 0)

    async with database.reading() as connection:
        for kept in (fresh, running, helped):
            assert await executions.get(connection, kept.execution.id) is not None
        for gone in (old, failed):
            assert await executions.get(connection, gone.execution.id) is None
        (sum_,) = await usage.sums(connection, UsageBy.MODEL, limit=10)
    assert sum_.usage.input_tokens == 5, "what was used stays"


async def test_many_go_in_pieces(database: Database, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubiya_workers.control_plane.retention._AT_ONCE", 2)
    await store(database, *(over(31 * DAY) for _ in range(5)))
    assert await Retention(database, objects, 30 * DAY).tidy(NOW) == (5, 0)


async def test_bodies_go_once_no_open_run_can_need_them(database: Database, objects: ObjectStore) -> None:
    old = await put(objects, b"old", BODIES_KEPT + DAY)
    fresh = await put(objects, b"fresh", BODIES_KEPT - DAY)
    retention = Retention(database, objects, None)
    waiting = run(created_at=NOW - BODIES_KEPT - DAY, status=Status.WAITING_FOR_INPUT)
    await store(database, waiting)
    assert await retention.tidy(NOW) == (0, 0), "a run that waits for weeks still has its bodies"
    async with database.writing() as connection:
        await executions.update(connection, waiting.execution.id, status=Status.COMPLETED)
    assert await retention.tidy(NOW) == (0, 1)
    assert objects.path(fresh).exists()
    assert await objects.put(b"old") == old, "it can be stored again"
    assert await objects.get(old) == b"old"


async def test_the_oldest_open_run_decides(database: Database) -> None:
    async with database.reading() as connection:
        assert await executions.oldest_open(connection) is None
    older, newer = run(created_at=NOW - 2 * DAY), run(created_at=NOW - DAY)
    await store(database, newer, older, over(9 * DAY))
    async with database.reading() as connection:
        assert await executions.oldest_open(connection) == older.execution.created_at


async def test_whoever_stores_a_body_again_keeps_it(objects: ObjectStore) -> None:
    digest = await put(objects, b"shared", 30 * DAY)
    assert await objects.put(b"shared") == digest
    assert objects.remove_unused(NOW - MARGIN) == 0
    half_way_in = objects.path(digest).parent.parent / ".incoming" / "half"
    half_way_in.parent.mkdir(exist_ok=True)
    half_way_in.write_bytes(b"ha")
    os.utime(half_way_in, (0, 0))
    assert objects.remove_unused(NOW - MARGIN) == 0
    assert not half_way_in.exists(), "what never came in whole is removed, too"
    assert hashlib.sha256(await objects.get(digest)).hexdigest() == digest
