"""Agents, skills, environments, queues and keys: what is stored comes back, names are unique."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubiya_workers.contracts.agents import Agent, ExecutionEnvironment
from kubiya_workers.contracts.environments import Environment
from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.ids import AgentId, EnvironmentId, KeyId, QueueId, SkillId, TeamId, WorkerId, new_id
from kubiya_workers.contracts.keys import Key, Scope
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.skills import Skill
from kubiya_workers.contracts.teams import Team
from kubiya_workers.control_plane.store import agents, environments, keys, queues, skills, teams
from kubiya_workers.control_plane.store.database import Database

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MOMENTS = {"created_at": NOW, "updated_at": NOW}


def agent(name: str = "ops", **fields: Any) -> Agent:
    return Agent(id=AgentId(new_id()), name=name, **MOMENTS, **fields)


def skill(name: str = "shell") -> Skill:
    return Skill(id=SkillId(new_id()), name=name, type="shell", configuration={"allowed": ["ls"]}, **MOMENTS)


def environment(name: str = "production") -> Environment:
    return Environment(id=EnvironmentId(new_id()), name=name, tags=("a", "b"), settings={"k": [1]}, **MOMENTS)


def queue(environment_id: EnvironmentId, name: str = "main", **fields: Any) -> Queue:
    queue_id = QueueId(new_id())
    return Queue(id=queue_id, environment_id=environment_id, name=name, task_queue_name=queue_id, **MOMENTS, **fields)


def team(name: str = "crew") -> Team:
    return Team(id=TeamId(new_id()), name=name, members=(AgentId("a1"), AgentId("a2")), **MOMENTS)


CASES = [(agents, agent), (teams, team), (skills, skill), (environments, environment)]


@pytest.mark.parametrize(("store", "make"), CASES)
async def test_what_is_stored_comes_back(database: Database, store: Any, make: Any) -> None:
    made, other = make(), make("another")
    async with database.writing() as connection:
        await store.insert(connection, made)
        await store.insert(connection, other)
    async with database.reading() as connection:
        assert await store.find(connection, made.id) == made
        assert await store.find(connection, made.name) == made
        assert await store.find(connection, "nobody") is None
        assert await store.list_(connection) == [other, made]
        assert await store.list_(connection, skip=1, limit=1) == [made]


@pytest.mark.parametrize(("store", "make"), CASES)
async def test_names_are_unique(database: Database, store: Any, make: Any) -> None:
    first, second = make("a"), make("b")
    async with database.writing() as connection:
        await store.insert(connection, first)
        await store.insert(connection, second)
    with pytest.raises(Conflict, match="'a' exists already"):
        async with database.writing() as connection:
            await store.insert(connection, make("a"))
    with pytest.raises(Conflict, match="'a' exists already"):
        async with database.writing() as connection:
            await store.update(connection, second.model_copy(update={"name": "a"}))
    async with database.reading() as connection:
        assert await store.list_(connection) == [first, second]


@pytest.mark.parametrize(("store", "make"), CASES)
async def test_update_and_delete(database: Database, store: Any, make: Any) -> None:
    made = make()
    changed = made.model_copy(update={"description": "new", "updated_at": NOW + timedelta(seconds=1)})
    async with database.writing() as connection:
        await store.insert(connection, made)
        await store.update(connection, changed)
    async with database.reading() as connection:
        assert await store.find(connection, made.id) == changed
    async with database.writing() as connection:
        await store.delete(connection, made.id)
    async with database.reading() as connection:
        assert await store.list_(connection) == []


async def test_an_id_wins_over_a_name(database: Database) -> None:
    first = agent("first")
    namesake = agent(first.id)
    async with database.writing() as connection:
        await agents.insert(connection, first)
        await agents.insert(connection, namesake)
    async with database.reading() as connection:
        assert await agents.find(connection, first.id) == first


async def test_any_text_can_be_stored(database: Database) -> None:
    odd = agent(
        "naïve 'quoted' %s \\ 😀",
        system_prompt="one\0two",
        configuration={"deep": {"a": [None, 1.5, "\u2028"]}},
        execution_environment=ExecutionEnvironment(env_vars={"A": "b"}),
    )
    async with database.writing() as connection:
        await agents.insert(connection, odd)
    async with database.reading() as connection:
        found = await agents.find(connection, odd.name)
    assert found == odd.model_copy(update={"system_prompt": "one\ufffdtwo"})


async def test_queues_by_environment(database: Database) -> None:
    here, there = environment("here"), environment("there")
    one, two = queue(here.id, "one", ephemeral=True, max_workers=3), queue(there.id, "two", settings={"x": 1})
    async with database.writing() as connection:
        for owner in (here, there):
            await environments.insert(connection, owner)
        for made in (one, two):
            await queues.insert(connection, made)
    async with database.reading() as connection:
        assert await queues.list_(connection) == [one, two]
        assert await queues.list_(connection, environment_id=there.id) == [two]
        assert await queues.find(connection, "one") == one
        assert await environments.get(connection, here.id) == here
    with pytest.raises(Conflict, match="'one' exists already"):
        async with database.writing() as connection:
            await queues.insert(connection, queue(there.id, "one"))


def key(name: str = "k", **fields: Any) -> Key:
    values: dict[str, Any] = {"scope": Scope.CLIENT, "prefix": "kbw_abcd", "created_at": NOW, **fields}
    return Key(id=KeyId(new_id()), name=name, **values)


async def test_keys_are_found_by_digest_until_forgotten(database: Database) -> None:
    people, worker = key(expires_at=NOW), key(worker_id=WorkerId("w"), scope=Scope.WORKER, queue_id=QueueId("q"))
    async with database.writing() as connection:
        await keys.insert(connection, people, "1" * 64)
        await keys.insert(connection, worker, "2" * 64)
    async with database.reading() as connection:
        assert await keys.by_digest(connection, "1" * 64) == people
        assert await keys.by_digest(connection, "2" * 64) == worker
        assert await keys.by_digest(connection, "3" * 64) is None
        assert await keys.list_(connection) == [people]
    with pytest.raises(Conflict, match="this key exists already"):
        async with database.writing() as connection:
            await keys.insert(connection, key(), "1" * 64)


async def test_a_revoked_key_keeps_its_first_moment(database: Database) -> None:
    admin, token = key(scope=Scope.ADMIN), key(worker_id=WorkerId("w"))
    async with database.writing() as connection:
        await keys.insert(connection, admin, "1" * 64)
        await keys.insert(connection, token, "2" * 64)
        assert await keys.live_admins(connection) == [admin]
        for moment in (NOW, NOW + timedelta(days=1)):
            await keys.revoke(connection, admin.id, moment)
            await keys.revoke_worker(connection, WorkerId("w"), moment)
    async with database.writing() as connection:
        assert await keys.live_admins(connection) == []
        for stored in (await keys.get(connection, admin.id), await keys.by_digest(connection, "2" * 64)):
            assert stored is not None
            assert stored.revoked_at == NOW
        await keys.forget_revoked_tokens(connection, NOW + timedelta(seconds=1))
        assert await keys.by_digest(connection, "2" * 64) is None
        assert await keys.get(connection, admin.id) is not None


async def test_the_last_use_of_a_key_is_the_latest_that_anybody_saw(database: Database) -> None:
    made = Key(id=KeyId(new_id()), name="k", scope=Scope.CLIENT, prefix="kbw_", created_at=NOW)
    async with database.writing() as connection:
        await keys.insert(connection, made, "digest")
    for seen, last in ((NOW, NOW), (NOW + timedelta(minutes=2), NOW + timedelta(minutes=2)), (NOW, None)):
        async with database.writing() as connection:
            await keys.note_uses(connection, {made.id: seen, KeyId("deleted"): seen})
        async with database.reading() as connection:
            stored = await keys.get(connection, made.id)
        assert stored is not None
        assert stored.last_used_at == (last or NOW + timedelta(minutes=2))
