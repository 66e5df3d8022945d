"""Jobs: what is due fires once, whatever happens to the control planes of a database; and what is told of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.jobs import Outcome, Overlap, TriggerType
from kubiya_workers.control_plane.jobs import firing as firing_module
from kubiya_workers.control_plane.jobs.firing import ABANDONED_AFTER
from kubiya_workers.control_plane.services.seeds import seed
from kubiya_workers.control_plane.store.database import Database
from tests.planes import Plane, by_hand, delivery, plane


@pytest.fixture
async def one(database: Database) -> AsyncIterator[Plane]:
    await seed(database)
    async with plane(database) as made:
        yield made


async def test_what_is_due_fires_once_for_all_control_planes(url: str | None, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        planes: list[Plane] = []
        for number in range(3):
            database = await Database.open(url, tmp_path / "kubiya.db")
            stack.push_async_callback(database.close)
            if not planes:
                await seed(database)
            planes.append(await stack.enter_async_context(plane(database, f"plane-{number}")))
        jobs = [await planes[0].hourly(name=f"job-{number}") for number in range(5)]
        for job in jobs:
            await planes[1].make_due(job)
        await asyncio.gather(*(one.clock.look() for one in planes for _ in range(2)))
        for job in jobs:
            (fired,) = await planes[2].firings_of(job.name)
            assert (fired.outcome, fired.trigger, fired.count) == (Outcome.FIRED, TriggerType.CRON, 1)
            (run,) = [run for run in await planes[0].runs() if run.job_id == job.id]
            assert fired.execution_id == run.id
            assert run.execution_metadata["job_name"] == job.name and run.key_id == planes[0].key.id
            assert (await planes[0].jobs.get(job.id, planes[0].caller)).next_at == job.next_at
        assert sum(len(one.counts.counted) for one in planes) == 5


@pytest.mark.parametrize("is_submitted", [False, True], ids=["before its submit", "before it could say so"])
async def test_a_claim_is_finished_after_a_crash(one: Plane, is_submitted: bool) -> None:
    job = await one.hourly()
    due = await one.make_due(job)
    claim = await one.firings.take_due(job.id, due, datetime.now(UTC))
    assert claim is not None and await one.firings.take_due(job.id, due, datetime.now(UTC)) is None
    if is_submitted:
        await one.firings._submitted(claim)
    assert await one.told() == ["pending"]
    async with plane(one.database, "another", one.key) as another:
        await another.clock.look()
        assert await another.told() == ["pending"], "its owner may be at it"
        async with plane(one.database, "one", one.key) as again:
            await again.clock.look()
        (fired,) = await another.firings_of()
        (run,) = await another.runs()
        assert (fired.outcome, fired.execution_id) == (Outcome.FIRED, run.id)


async def test_another_control_plane_takes_over_from_one_that_is_gone(one: Plane) -> None:
    job = await one.hourly()
    due = await one.make_due(job, 2 * ABANDONED_AFTER)
    assert await one.firings.take_due(job.id, due, due)
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(plane(one.database, f"{n}", one.key)) for n in range(2)]
        await asyncio.gather(*(other.clock.look() for other in others))
    assert await one.told() == ["fired"] and len(await one.runs()) == 1


async def test_two_who_submit_one_claim_make_one_execution(one: Plane) -> None:
    job = await one.hourly()
    claim = await one.firings.take_due(job.id, await one.make_due(job), datetime.now(UTC))
    assert claim is not None
    async with plane(one.database, "another", one.key) as another:
        now = datetime.now(UTC)
        both = await asyncio.gather(*(some.firings.submit(claim, now) for some in (one, another, one)))
    assert {firing.outcome for firing in both} == {Outcome.FIRED}
    assert len(await one.runs()) == 1 and await one.told() == ["fired"]


async def test_a_schedule_skips_while_one_still_runs_and_says_which(one: Plane) -> None:
    job = await one.hourly()
    assert job.overlap is Overlap.SKIP
    for _ in range(2):
        await one.make_due(job)
        await one.clock.look()
    skipped, fired = await one.firings_of()
    assert (skipped.outcome, skipped.execution_id) == (Outcome.SKIPPED, None)
    assert skipped.reason == f"execution {fired.execution_id} of this job still runs"
    assert (await by_hand(one)).outcome is Outcome.SKIPPED
    assert fired.execution_id is not None
    await one.end(fired.execution_id)
    await one.make_due(job)
    await one.clock.look()
    assert await one.told() == ["fired", "skipped", "skipped", "fired"]
    await one.changed("j", overlap=Overlap.ALLOW)
    assert (await by_hand(one)).outcome is Outcome.FIRED


async def test_what_was_missed_is_told_and_the_last_of_it_caught_up(one: Plane) -> None:
    job = await one.hourly()
    assert job.next_at is not None
    due = job.next_at - timedelta(hours=6)
    await one.make_due(job, datetime.now(UTC) - due)
    await one.clock.look()
    fired, missed = sorted(await one.firings_of(), key=lambda firing: firing.outcome)
    assert (fired.outcome, missed.outcome) == (Outcome.FIRED, Outcome.MISSED)
    assert missed.count == 5 and missed.reason is not None and "5 times since" in missed.reason
    assert fired.scheduled_at == due + timedelta(hours=5)
    shown = await one.jobs.get("j", one.caller)
    assert shown.next_firings[0] == fired.scheduled_at + timedelta(hours=1) and len(shown.next_firings) == 3


async def test_a_delivery_is_taken_once_and_again_only_where_it_was_not_fired(one: Plane) -> None:
    job = await one.job(trigger_type="webhook", prompt_template="see {{payload.n}}")
    first, again = [await one.firings.fire(job.id, delivery(job, one, "d1", n=7)) for _ in range(2)]
    assert first.id == again.id and first.execution_id == again.execution_id
    both = await asyncio.gather(*(one.firings.fire(job.id, delivery(job, one, "d2", n=8)) for _ in range(2)))
    assert both[0].id == both[1].id
    with pytest.raises(Conflict, match=r"\{\{payload.n\}\}"):
        await one.firings.fire(job.id, delivery(job, one, "d3"))
    assert (await one.told())[0] == "refused"
    assert (await one.firings.fire(job.id, delivery(job, one, "d3", n=9))).outcome is Outcome.FIRED
    assert await one.told() == ["fired"] * 3
    assert sorted(run.prompt for run in await one.runs()) == ["see 7", "see 8", "see 9"]


async def test_only_the_newest_firings_are_kept(one: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing_module, "KEPT", 3)
    await one.job()
    for _ in range(6):
        newest = await by_hand(one)
    found = await one.firings_of()
    assert len(found) == 3 and found[0].id == newest.id
    assert len(await one.runs()) == 6


async def test_a_deleted_job_leaves_its_executions(one: Plane) -> None:
    job = await one.job()
    fired = await by_hand(one)
    (listed,) = await one.jobs.list(skip=0, limit=10)
    assert listed.last_firing is not None and listed.last_firing.id == fired.id
    assert listed.last_firing.execution_status == "pending"
    await one.jobs.delete("j")
    with pytest.raises(NotFound):
        await one.firings_of()
    (run,) = await one.runs()
    assert run.job_id == job.id
