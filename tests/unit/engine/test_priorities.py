"""What is taken first of that which waits, by the real embedded Temporal."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import cast

import pytest
import pytest_asyncio
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from kubiya_workers.contracts.activities import EXECUTION_WORKFLOW
from kubiya_workers.contracts.agents import AgentSpec
from kubiya_workers.contracts.executions import RunOutcome, RunStart, RunState, Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.priorities import PRIORITIES
from kubiya_workers.control_plane.engine.temporal import TemporalEngine
from kubiya_workers.settings.server import TemporalSettings

from .test_temporal import MemoryObjects

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT_S = 30.0
ORDER: list[int] = []


@activity.defn(name="note")
async def note() -> int:
    """One step of a run; its own priority."""
    key = activity.info().priority.priority_key or 0
    ORDER.append(key)
    return key


@workflow.defn(name=EXECUTION_WORKFLOW)
class OneStep:
    """A run of one step in each of its two parts."""

    @workflow.run
    async def run(self, start: RunStart) -> RunOutcome:
        key = await workflow.execute_activity(
            "note", result_type=int, start_to_close_timeout=timedelta(seconds=LIMIT_S)
        )
        if start.carried is None:
            workflow.continue_as_new(start.model_copy(update={"carried": RunState(messages=())}))
        return RunOutcome(status=Status.COMPLETED, response=str(key))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(address: str) -> AsyncIterator[TemporalEngine]:
    yield await TemporalEngine.connect(TemporalSettings(host=address), MemoryObjects())


async def test_of_a_backlog_the_most_urgent_is_taken_first(engine: TemporalEngine) -> None:
    queue = f"backlog-{uuid.uuid4()}"
    wanted = [PRIORITIES["low"]] * 4 + [PRIORITIES["normal"]] * 4 + [PRIORITIES["critical"]] * 4
    ids = [ExecutionId(str(uuid.uuid4())) for _ in wanted]
    for execution_id, priority in zip(ids, wanted, strict=True):
        agent = AgentSpec(name="a", model="m")
        await engine.start(RunStart(execution_id=execution_id, agent=agent, prompt="p", priority=priority), queue)
    client = cast(Client, engine._client)  # pyright: ignore[reportPrivateUsage]
    ORDER.clear()
    async with Worker(
        client,
        task_queue=queue,
        workflows=[OneStep],
        activities=[note],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
        max_concurrent_workflow_tasks=1,
        max_concurrent_workflow_task_polls=1,
        max_concurrent_activities=1,
        max_concurrent_activity_task_polls=1,
        disable_eager_activity_execution=True,
    ):
        async with asyncio.timeout(LIMIT_S):
            outcomes = [await engine.outcome(execution_id) for execution_id in ids]
    assert [int(outcome.response) for outcome in outcomes] == wanted, "kept by steps and over continue-as-new"
    urgent = wanted.count(PRIORITIES["critical"])
    assert ORDER[0] == PRIORITIES["critical"], ORDER
    assert PRIORITIES["low"] not in ORDER[: 2 * urgent], ORDER
