"""What model calls used, as rows."""

from datetime import UTC, datetime

from kubiya_workers.contracts.ids import KeyId, WorkerId
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.usage import UsageBy
from kubiya_workers.control_plane.store import settings, usage
from kubiya_workers.control_plane.store.database import Database

from .test_executions import run, store

FIRST = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
SECOND = datetime(2026, 2, 1, tzinfo=UTC)
USED = Usage(input_tokens=10, output_tokens=5, cached_tokens=2, reasoning_tokens=1, cost_usd=0.5)


async def test_a_step_is_counted_once(database: Database) -> None:
    made = run(entity_name="ops", key_id=KeyId("k1"))
    await store(database, made)
    async with database.writing() as connection:
        for step, now in ((1, FIRST), (1, SECOND), (2, SECOND)):
            await usage.add_step(
                connection, made.execution.id, step, model="m", used=USED, worker_id=WorkerId("w"), now=now
            )
        await usage.add_call(connection, KeyId("k1"), "ci", model="m2", used=USED, now=SECOND)
    async with database.reading() as connection:
        days = await usage.sums(connection, UsageBy.DAY, limit=10)
        assert [(row.name, row.calls) for row in days] == [("2026-01-31", 1), ("2026-02-01", 2)]
        assert days[1].usage == USED + USED
        models = await usage.sums(connection, UsageBy.MODEL, since="2026-02-01", limit=10)
        assert {row.name: row.calls for row in models} == {"m": 1, "m2": 1}
        agents = await usage.sums(connection, UsageBy.AGENT, limit=10)
        assert {row.name: row.calls for row in agents} == {"ops": 2, None: 1}
        steps = await usage.sums(connection, UsageBy.STEP, execution_id=made.execution.id, limit=10)
        assert [(row.name, row.calls) for row in steps] == [("1", 1), ("2", 1)]
        assert await usage.sums(connection, UsageBy.WORKER, until="2026-01-30", limit=10) == []
        assert await usage.spent(connection, KeyId("k1"), "2026-02-01") == 1.0
        assert await usage.spent(connection, KeyId("k1"), None) == 1.5
        assert await usage.spent(connection, KeyId("k2"), None) == 0.0


async def test_a_teams_sum_includes_its_members_and_each_call_is_there_once(database: Database) -> None:
    team = run(entity_name="crew", execution_type="team", team_name="crew")
    member = run(entity_name="ops", team_name="crew", parent_execution_id=team.execution.id)
    await store(database, team, member, alone := run(entity_name="ops"))
    async with database.writing() as connection:
        for one in (team, member, alone):
            await usage.add_step(connection, one.execution.id, 1, model="m", used=USED, worker_id=None, now=FIRST)
    async with database.reading() as connection:
        teams = await usage.sums(connection, UsageBy.TEAM, limit=10)
        assert {row.name: row.calls for row in teams} == {"crew": 2, None: 1}
        agents = await usage.sums(connection, UsageBy.AGENT, limit=10)
        assert {row.name: row.calls for row in agents} == {"ops": 2, None: 1}


async def test_a_setting_is_the_last_that_was_put(database: Database) -> None:
    async with database.writing() as connection:
        assert await settings.get(connection, "a") is None
        await settings.put(connection, "a", "one")
        await settings.put(connection, "a", "two")
        assert await settings.get(connection, "a") == "two"
