"""Members' runs as they are stored: once, for their team's run alone, and closed when nobody starts them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from kubiya_workers.contracts.agents import AgentSpec, Limits, NewAgent
from kubiya_workers.contracts.errors import Conflict, Forbidden, Invalid, NotFound
from kubiya_workers.contracts.events import ModelStarted
from kubiya_workers.contracts.executions import NewExecution, RunOutcome, RunStart, Status
from kubiya_workers.contracts.ids import ExecutionId, KeyId, QueueId, WorkerId
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.contracts.queues import NewQueue
from kubiya_workers.contracts.teams import Delegation, NewTeam
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.control_plane.reconcile import Reconciler
from kubiya_workers.control_plane.services import agents, queues, team_runs, teams
from kubiya_workers.control_plane.services.delegations import delegate
from kubiya_workers.control_plane.services.executions import Executions
from kubiya_workers.control_plane.services.seeds import seed
from kubiya_workers.control_plane.store.database import Database

from .conftest import Models

WANTED = Delegation(step=2, member="writer", task="write it", limits=Limits(max_tool_calls=3))


@dataclass
class Engine:
    """A Temporal that knows of no run but those that have ended; `asked` is called with each question, first."""

    started: list[ExecutionId] = field(default_factory=list[ExecutionId])
    ended: set[ExecutionId] = field(default_factory=set[ExecutionId])
    asked: Callable[[ExecutionId], Awaitable[object]] | None = None

    async def start(self, run: RunStart, task_queue: str) -> None:
        self.started.append(run.execution_id)

    async def outcome(self, execution_id: ExecutionId) -> RunOutcome:
        is_known = execution_id in self.ended
        if self.asked is not None:
            await self.asked(execution_id)
        if not is_known:
            raise NotFound(f"Temporal does not know {execution_id} as running")
        return RunOutcome(status=Status.COMPLETED, response="written")


@dataclass
class Place:
    database: Database
    executions: Executions
    engine: Engine
    team_run: ExecutionId
    worker: Caller


@pytest.fixture
async def place(database: Database) -> AsyncIterator[Place]:
    """A team's run that a worker of its queue has."""
    await seed(database)
    log, engine = EventLog(database), Engine()
    await log.start()
    executions = Executions(database, log, cast(Any, engine))
    queue = await queues.create(database, "default", NewQueue(name="q"))
    environment = {"env_vars": {"OWN": "writer's", "BOTH": "writer's"}}
    new = NewAgent.model_validate(
        {"name": "writer", "model_id": "lab/m", "execution_environment": environment, "description": "Writes."}
        | {"configuration": {"limits": {"max_tool_calls": 9, "max_tokens": 50}}}
    )
    await agents.create(database, new)
    await teams.create(database, NewTeam(name="crew", members=("writer", "default"), model_id="lab/m"))
    asked = NewExecution.model_validate(
        {"prompt": "go", "worker_queue_id": "q", "execution_environment": {"env_vars": {"BOTH": "the run's"}}}
    )
    plan = await team_runs.plan(database, "crew", asked, Models(), on_demand=False)
    submitted = await executions.submit(plan, asked)
    worker = Caller(key_id=KeyId("k"), name="w", scope=Scope.WORKER, worker_id=WorkerId("w"), queue_id=queue.id)
    yield Place(database, executions, engine, submitted.id, worker)
    await log.close()


async def test_a_teams_run_has_what_its_members_were_when_it_was_submitted(place: Place) -> None:
    run = await place.executions.stored(place.team_run)
    assert (run.execution.execution_type, run.execution.team_name) == ("team", "crew")
    writer, other = run.members
    assert (writer.name, writer.agent.model, writer.description) == ("writer", "lab/m", "Writes.")
    assert other.agent.model == "lab/m", "the team's, where a member names none"
    assert writer.workspace.env_vars == {"OWN": "writer's", "BOTH": "the run's"}
    assert [tool.name for tool in run.run_start.agent.tools] == ["delegate"]
    assert "writer's" not in run.run_start.model_dump_json(), "what goes to Temporal holds no variables"


async def test_a_members_run_is_stored_once(place: Place) -> None:
    first = await delegate(place.executions, place.worker, place.team_run, WANTED)
    again = await delegate(place.executions, place.worker, place.team_run, WANTED)
    assert again == first
    assert isinstance(first.agent, AgentSpec)
    assert (first.agent.limits.max_tool_calls, first.agent.limits.max_tokens) == (3, 50), "the tighter of both"
    stored = await place.executions.stored(first.execution_id)
    assert stored.execution.is_delegated
    assert (stored.execution.parent_execution_id, stored.execution.team_name) == (place.team_run, "crew")
    assert stored.workspace.env_vars["OWN"] == "writer's"
    other = await delegate(place.executions, place.worker, place.team_run, WANTED.model_copy(update={"step": 3}))
    assert other.execution_id != first.execution_id


async def test_what_cannot_be_delegated_is_refused(place: Place) -> None:
    with pytest.raises(Invalid, match="no member 'nobody'; its members: writer, default"):
        await delegate(place.executions, place.worker, place.team_run, WANTED.model_copy(update={"member": "nobody"}))
    with pytest.raises(Invalid, match="empty"):
        await delegate(place.executions, place.worker, place.team_run, WANTED.model_copy(update={"task": " "}))
    stranger = place.worker.model_copy(update={"queue_id": QueueId("other")})
    with pytest.raises(Forbidden):
        await delegate(place.executions, stranger, place.team_run, WANTED)
    await place.executions.close(place.team_run, RunOutcome(status=Status.COMPLETED))
    assert (await place.executions.stored(place.team_run)).members == (), "their secrets go with the run"
    with pytest.raises(Conflict, match="completed"):
        await delegate(place.executions, place.worker, place.team_run, WANTED)


async def test_only_its_teams_run_starts_it_and_it_is_closed_when_that_one_is_over(place: Place) -> None:
    run = await delegate(place.executions, place.worker, place.team_run, WANTED)
    reconciler = Reconciler(place.database, place.executions, cast(Any, place.engine), Auth(place.database))
    place.executions.watcher = reconciler
    await reconciler.sweep()
    assert run.execution_id not in place.engine.started
    assert (await place.executions.get(run.execution_id)).status is Status.PENDING
    await place.executions.close(place.team_run, RunOutcome(status=Status.CANCELLED))

    async with asyncio.timeout(20):
        while (await place.executions.get(run.execution_id)).status is Status.PENDING:
            await asyncio.sleep(0.01)
    assert (await place.executions.get(run.execution_id)).error_message == "its team's run ended before this one began"
    await reconciler.close()


async def test_a_run_that_begins_while_temporal_is_asked_for_it_is_not_lost(place: Place) -> None:
    run = await delegate(place.executions, place.worker, place.team_run, WANTED)
    reconciler = Reconciler(place.database, place.executions, cast(Any, place.engine), Auth(place.database))
    place.executions.watcher = reconciler

    async def begins(execution_id: ExecutionId) -> None:
        if execution_id == run.execution_id and not place.engine.ended:
            place.engine.ended.add(execution_id)
            await place.executions.record(place.worker, execution_id, [ModelStarted(step=1, model="m")])

    place.engine.asked = begins
    reconciler.watch(run.execution_id)
    async with asyncio.timeout(20):
        while not (await place.executions.get(run.execution_id)).status.is_terminal:
            await asyncio.sleep(0.01)
    assert (await place.executions.get(run.execution_id)).response == "written"
    await reconciler.close()


async def test_no_text_of_a_teams_run_holds_a_members_secret(place: Place) -> None:
    secret = {"env_vars": {"TOKEN": "t0p/s3cret"}, "secrets": ["TOKEN"]}
    new = NewAgent.model_validate({"name": "keeper", "execution_environment": secret})
    await agents.create(place.database, new)
    await teams.create(place.database, NewTeam(name="vault", members=("keeper",)))
    for prompt, is_fine in (("use t0p/s3cret", False), ("use $TOKEN", True)):
        asked = NewExecution(prompt=prompt, worker_queue_id="q")
        plan = await team_runs.plan(place.database, "vault", asked, Models(), on_demand=False)
        if is_fine:
            team_run = (await place.executions.submit(plan, asked)).id
        else:
            with pytest.raises(Invalid, match="the prompt holds the value of the secret TOKEN"):
                await place.executions.submit(plan, asked)
    wanted = Delegation(step=2, member="keeper", task="use t0p%2Fs3cret")
    with pytest.raises(Invalid, match="the task holds"):
        await delegate(place.executions, place.worker, team_run, wanted)
    with pytest.raises(Invalid, match="the message holds"):
        await place.executions.message(team_run, "t0p/s3cret")


async def test_a_team_without_members_or_with_one_that_is_gone_runs_nothing(place: Place) -> None:
    await teams.create(place.database, NewTeam(name="nobody"))
    asked = NewExecution(prompt="go", worker_queue_id="q")
    with pytest.raises(Conflict, match="has no members"):
        await team_runs.plan(place.database, "nobody", asked, Models(), on_demand=False)
    with pytest.raises(NotFound, match="no team 'none'"):
        await team_runs.plan(place.database, "none", asked, Models(), on_demand=False)
    everybody = asked.model_copy(update={"model": "kubiya/offline"})
    plan = await team_runs.plan(place.database, "crew", everybody, Models(), on_demand=False)
    assert {spec.model for spec in (plan.agent, *(member.agent for member in plan.members))} == {"kubiya/offline"}
