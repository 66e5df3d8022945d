"""Executions and workers as rows."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubiya_workers.contracts.agents import AgentSpec
from kubiya_workers.contracts.environments import Environment
from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.executions import Execution, FailureReason, RunStart, Status
from kubiya_workers.contracts.ids import AgentId, EnvironmentId, ExecutionId, QueueId, WorkerId, new_id
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.priorities import PRIORITIES
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.teams import Member
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.contracts.workers import Heartbeat, Worker, WorkerStatus
from kubiya_workers.control_plane.store import environments, executions, queues, workers
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.control_plane.store.executions import StoredRun

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run(minute: int = 0, **fields: Any) -> StoredRun:
    execution_id = ExecutionId(new_id())
    moment = NOW + timedelta(minutes=minute)
    values: dict[str, Any] = {
        "entity_id": "agent-1",
        "status": Status.PENDING,
        "created_at": moment,
        "updated_at": moment,
        **fields,
    }
    execution = Execution(id=execution_id, execution_id=execution_id, prompt="Run `ls`", **values)
    agent = AgentSpec(name="a", model="m")
    start = RunStart(execution_id=execution_id, agent=agent, prompt="Run `ls`", priority=PRIORITIES["critical"])
    return StoredRun(execution, Workspace(env_vars={"TOKEN": "x"}, secrets=("TOKEN",)), start, "queue-1")


async def store(database: Database, *runs: StoredRun) -> None:
    async with database.writing() as connection:
        for made in runs:
            await executions.insert(connection, made)


async def test_a_teams_run_keeps_its_members_until_it_is_over(database: Database) -> None:
    member = Member(
        agent_id=AgentId("a1"),
        agent=AgentSpec(name="ops", model="m"),
        workspace=Workspace(env_vars={"TOKEN": "x"}, secrets=("TOKEN",)),
    )
    team = replace(run(execution_type="team", team_name="crew"), members=(member,))
    part = run(1, team_name="crew", parent_execution_id=team.execution.id)
    late = run(2, team_name="crew", parent_execution_id=team.execution.id, status=Status.COMPLETED)
    asked = run(3, parent_execution_id=team.execution.id)  # by a person: no member's
    await store(database, team, part, late, asked)
    async with database.writing() as connection:
        assert await executions.get_run(connection, team.execution.id) == team
        assert await executions.open_members(connection, team.execution.id) == [part.execution]
        of_team = await executions.list_(connection, executions.Filter(parent_id=team.execution.id))
        assert of_team == [asked.execution, late.execution, part.execution]
        await executions.update(connection, team.execution.id, members=None)
        stored = await executions.get_run(connection, team.execution.id)
    assert stored is not None
    assert stored.members == ()


async def test_a_run_comes_back_whole(database: Database) -> None:
    made = run(execution_metadata={"a": [1]}, usage=Usage(input_tokens=3, cost_usd=0.25))
    await store(database, made)
    async with database.reading() as connection:
        assert await executions.get(connection, made.execution.id) == made.execution
        assert await executions.get_run(connection, made.execution.id) == made
        assert await executions.list_open(connection) == [made]
        assert await executions.lock_status(connection, made.execution.id) is Status.PENDING
        assert await executions.get(connection, ExecutionId("nobody")) is None
        assert await executions.get_run(connection, ExecutionId("nobody")) is None
        assert await executions.lock_status(connection, ExecutionId("nobody")) is None
    with pytest.raises(Conflict):
        await store(database, made)


async def test_changes_are_only_what_was_said(database: Database) -> None:
    made = run()
    await store(database, made)
    usage = Usage(output_tokens=5)
    async with database.writing() as connection:
        await executions.update(
            connection,
            made.execution.id,
            status=Status.FAILED,
            failure_reason=FailureReason.TIMEOUT,
            response="partial\0",
            usage=usage,
            workspace=Workspace(),
            completed_at=NOW,
            updated_at=NOW,
        )
    changed = {
        "status": Status.FAILED,
        "failure_reason": FailureReason.TIMEOUT,
        "response": "partial\ufffd",
        "usage": usage,
        "completed_at": NOW,
        "updated_at": NOW,
    }
    async with database.reading() as connection:
        stored = await executions.get_run(connection, made.execution.id)
        assert stored is not None
        assert stored.execution == made.execution.model_copy(update=changed)
        assert stored.workspace == Workspace()
        assert await executions.list_open(connection) == []


async def test_lists_are_filtered_newest_first(database: Database) -> None:
    old = run(0, worker_queue_id="q1", status=Status.COMPLETED)
    team = run(1, execution_type="team", entity_id="team-1", worker_queue_id="q1")
    new = run(2, entity_id="agent-2", worker_queue_id="q2")
    await store(database, old, team, new)
    cases: list[tuple[dict[str, Any], list[StoredRun]]] = [
        ({}, [new, team, old]),
        ({"skip": 1, "limit": 1}, [team]),
        ({"status": "completed"}, [old]),
        ({"status": Status.PENDING}, [new, team]),
        ({"agent_id": "agent-1"}, [old]),
        ({"agent_id": "team-1"}, []),
        ({"team_id": "team-1"}, [team]),
        ({"execution_type": "agent"}, [new, old]),
        ({"queue_id": "q1"}, [team, old]),
    ]
    async with database.reading() as connection:
        for filters, expected in cases:
            page = {name: filters.pop(name) for name in ("skip", "limit") if name in filters}
            found = await executions.list_(connection, executions.Filter(**filters), **page)
            assert list(found) == [made.execution for made in expected], filters
        counts = await executions.count_by_status(connection, QueueId("q1"))
    assert counts == {Status.COMPLETED: 1, Status.PENDING: 1}


async def test_lists_are_searched_sorted_and_counted(database: Database) -> None:
    early = run(0, entity_name="b", response="100% of it", worker_id="w1")
    late = run(10, entity_name="a", error_message="No such FILE", worker_id="w2", status=Status.FAILED)
    await store(database, early, late)
    wanted: list[tuple[dict[str, Any], list[StoredRun]]] = [
        ({"text": "no such file"}, [late]),
        ({"text": "0% OF"}, [early]),
        ({"text": "%"}, [early]),
        ({"text": "run `ls`"}, [late, early]),
        ({"text": early.execution.id}, [early]),
        ({"worker_id": "w2"}, [late]),
        ({"since": NOW + timedelta(minutes=1)}, [late]),
        ({"until": NOW + timedelta(minutes=10)}, [early]),
        ({"since": NOW, "until": NOW}, []),
    ]
    async with database.reading() as connection:
        for filters, expected in wanted:
            chosen = executions.Filter(**filters)
            found = await executions.list_(connection, chosen)
            assert list(found) == [made.execution for made in expected], filters
            assert await executions.count(connection, chosen) == len(expected)
        for sort, down, expected in (
            ("created_at", False, [early, late]),
            ("agent", False, [late, early]),
            ("agent", True, [early, late]),
            ("status", False, [late, early]),
        ):
            found = await executions.list_(connection, sort=sort, descending=down)
            assert list(found) == [made.execution for made in expected], (sort, down)


async def test_activity_is_counted_by_the_minute(database: Database) -> None:
    at = NOW.replace(second=0)
    ended = at + timedelta(minutes=2, seconds=59, microseconds=999_999)
    await store(
        database,
        run(0),
        run(0, status=Status.COMPLETED, completed_at=ended),
        run(1, status=Status.FAILED, completed_at=at + timedelta(minutes=2)),
        run(1, status=Status.CANCELLED, completed_at=ended),
        run(-60),
    )
    async with database.reading() as connection:
        counted = await executions.activity(connection, at)
    assert counted == {
        at: {"started": 2},
        at + timedelta(minutes=1): {"started": 2},
        at + timedelta(minutes=2): {"completed": 1, "failed": 1},
    }


async def test_a_locked_status_is_not_changed_by_others(database: Database) -> None:
    made, order = run(), list[str]()
    await store(database, made)
    held = asyncio.Event()

    async def first() -> None:
        async with database.writing() as connection:
            await executions.lock_status(connection, made.execution.id)
            held.set()
            await asyncio.sleep(0.05)
            order.append("first")
            await executions.update(connection, made.execution.id, status=Status.RUNNING)

    async def second() -> None:
        await held.wait()
        async with database.writing() as connection:
            assert await executions.lock_status(connection, made.execution.id) is Status.RUNNING
            order.append("second")

    await asyncio.gather(first(), second())
    assert order == ["first", "second"]


async def test_a_deleted_execution_is_gone(database: Database) -> None:
    made = run()
    await store(database, made)
    async with database.writing() as connection:
        await executions.delete(connection, made.execution.id)
        assert await executions.get(connection, made.execution.id) is None


def worker(queue: str = "q1", minute: int = 0) -> Worker:
    moment = NOW + timedelta(minutes=minute)
    return Worker(
        id=WorkerId(new_id()),
        queue_id=QueueId(queue),
        queue_name=queue,
        environment_id=EnvironmentId("e"),
        status=WorkerStatus.ACTIVE,
        hostname="h",
        pid=7,
        system_info={"cpu_count": 2},
        registered_at=moment,
        last_heartbeat=moment,
    )


def queue(queue_id: QueueId, *, ephemeral: bool = False) -> Queue:
    return Queue(
        id=queue_id,
        environment_id=EnvironmentId("e"),
        name=f"name-{queue_id}",
        task_queue_name=queue_id,
        ephemeral=ephemeral,
        created_at=NOW,
        updated_at=NOW,
    )


async def test_a_queue_that_goes_with_its_workers_is_nobody_elses(database: Database) -> None:
    own = worker("q1")
    async with database.writing() as connection:
        made_of = Environment(id=EnvironmentId("e"), name="e", created_at=NOW, updated_at=NOW)
        await environments.insert(connection, made_of)
        await queues.insert(connection, queue(own.queue_id, ephemeral=True))
        await workers.insert(connection, own, heartbeat_interval=30)
        assert await workers.queue_of_newest_live(connection, None, or_paused=True) is None


async def test_workers_live_and_go(database: Database) -> None:
    old, new = worker("q1"), worker("q2", minute=1)

    async def newest(*, or_paused: bool = True, environment: str | None = None) -> str | None:
        within = None if environment is None else EnvironmentId(environment)
        return await workers.queue_of_newest_live(connection, within, or_paused=or_paused)

    async with database.writing() as connection:
        made_of = Environment(id=EnvironmentId("e"), name="e", created_at=NOW, updated_at=NOW)
        await environments.insert(connection, made_of)
        for made in (old, new):
            await workers.insert(connection, made, heartbeat_interval=30)
            await queues.insert(connection, queue(made.queue_id))
        assert await workers.list_(connection) == [new, old]
        assert await newest() == "q2"
        assert await workers.beat(connection, new.id, Heartbeat(status=WorkerStatus.DRAINING, tasks_processed=4), NOW)
        assert await newest() == "q1"
        assert await workers.beat(connection, new.id, Heartbeat(status=WorkerStatus.PAUSED, tasks_processed=4), NOW)
        assert await newest() == "q1"
        assert await newest(or_paused=False) == "q1"
        assert await newest(environment="e") == "q1"
        assert await newest(environment="other") is None
        assert await workers.end(connection, old.id, WorkerStatus.DISCONNECTED, NOW, reason="bye")
        assert not await workers.end(connection, old.id, WorkerStatus.LOST, NOW, reason="again")
        assert not await workers.beat(connection, old.id, Heartbeat(), NOW)
        assert await newest() == "q2"
        assert await newest(or_paused=False) is None
        assert await workers.beat(connection, new.id, Heartbeat(status=WorkerStatus.DRAINING), NOW)
        assert await newest() is None
    async with database.writing() as connection:
        gone = await workers.get(connection, old.id)
        assert gone is not None
        assert (gone.status, gone.disconnect_reason, gone.disconnected_at) == (WorkerStatus.DISCONNECTED, "bye", NOW)
        assert [pulse.id for pulse in await workers.pulses(connection)] == [new.id]
        assert [found.id for found in await workers.list_(connection, live=False)] == [old.id]
        assert [found.id for found in await workers.list_(connection, live=True, queue_id=new.queue_id)] == [new.id]
        await workers.delete_gone(connection, QueueId("q1"))
        assert await workers.get(connection, old.id) is None


async def test_a_worker_heard_meanwhile_is_not_ended(database: Database) -> None:
    made = worker()
    async with database.writing() as connection:
        await workers.insert(connection, made, heartbeat_interval=30)
        await workers.beat(connection, made.id, Heartbeat(), NOW + timedelta(seconds=1))
        lost = await workers.end(connection, made.id, WorkerStatus.LOST, NOW, reason="silent", unheard_since=NOW)
        assert not lost
        assert await workers.count_live(connection, made.queue_id) == 1
