"""The engine against a real Temporal, with small workflows that bear the execution workflow's name."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from kubiya_workers.client.payloads import BODY_LIMIT, data_converter
from kubiya_workers.contracts.activities import EXECUTION_WORKFLOW
from kubiya_workers.contracts.agents import AgentSpec
from kubiya_workers.contracts.errors import NotFound, TooLarge, Unavailable
from kubiya_workers.contracts.executions import FailureReason, RunOutcome, RunStart, Status
from kubiya_workers.contracts.ids import ExecutionId, workflow_id
from kubiya_workers.control_plane.engine.temporal import TemporalEngine
from kubiya_workers.settings.server import TemporalSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUEUE = "engine-tests"
LIMIT_S = 20.0


@dataclass
class MemoryObjects:
    bodies: dict[str, bytes] = field(default_factory=dict)
    puts: int = 0
    failures_left: int = 0

    async def put(self, data: bytes) -> str:
        self._fail()
        self.puts += 1
        digest = hashlib.sha256(data).hexdigest()
        self.bodies[digest] = data
        return digest

    async def get(self, digest: str) -> bytes:
        self._fail()
        return self.bodies[digest]

    def _fail(self) -> None:
        if self.failures_left > 0:
            self.failures_left -= 1
            raise Unavailable("the object store is down")


@activity.defn(name="enlarge")
async def enlarge(text: str) -> str:
    return text * 2


@activity.defn(name="flaky")
async def flaky() -> str:
    raise ApplicationError("the disk is on fire")


@workflow.defn(name=EXECUTION_WORKFLOW)
class Run:
    """Does what its prompt says."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.signal
    def message(self, text: str) -> None:
        self.told.append(text)

    @workflow.run
    async def run(self, start: RunStart) -> RunOutcome:
        minute = timedelta(minutes=1)
        match start.prompt[:10].strip():
            case "complete":
                return RunOutcome(status=Status.COMPLETED, response="done")
            case "again":
                workflow.continue_as_new(start.model_copy(update={"prompt": "complete"}))
            case "wait":
                await workflow.wait_condition(lambda: bool(self.told))
                return RunOutcome(status=Status.COMPLETED, response=self.told[0])
            case "fail":
                raise ApplicationError("it broke")
            case "flaky":
                await workflow.execute_activity("flaky", start_to_close_timeout=minute)
            case "large":
                text = await workflow.execute_activity(
                    "enlarge", start.prompt, start_to_close_timeout=minute, result_type=str
                )
                return RunOutcome(status=Status.COMPLETED, response=text)
            case "huge":
                await workflow.execute_activity("enlarge", "x" * (BODY_LIMIT + 1), start_to_close_timeout=minute)
        raise AssertionError(start.prompt[:10])


@dataclass
class Bench:
    engine: TemporalEngine
    client: Client
    objects: MemoryObjects


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(address: str) -> AsyncIterator[Bench]:
    """The engine, and a worker with a converter of its own on the same object store."""
    objects = MemoryObjects()
    engine = await TemporalEngine.connect(TemporalSettings(host=address), objects)
    client = await Client.connect(address, data_converter=data_converter(objects))
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Run],
        activities=[enlarge, flaky],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield Bench(engine, client, objects)


def a_run(prompt: str) -> RunStart:
    return RunStart(execution_id=ExecutionId(str(uuid.uuid4())), agent=AgentSpec(name="a", model="m"), prompt=prompt)


async def started(bench: Bench, prompt: str) -> ExecutionId:
    run = a_run(prompt)
    await bench.engine.start(run, QUEUE)
    return run.execution_id


async def outcome(bench: Bench, execution_id: ExecutionId) -> RunOutcome:
    return await asyncio.wait_for(bench.engine.outcome(execution_id), LIMIT_S)


async def test_a_run_completes(bench: Bench) -> None:
    ended = await outcome(bench, await started(bench, "complete"))
    assert ended == RunOutcome(status=Status.COMPLETED, response="done")


async def test_starting_twice_starts_once_even_after_the_end(bench: Bench) -> None:
    run = a_run("complete")
    await bench.engine.start(run, QUEUE)
    await bench.engine.start(run, QUEUE)
    first = await bench.client.get_workflow_handle(workflow_id(run.execution_id)).describe()
    await outcome(bench, run.execution_id)
    await bench.engine.start(run, QUEUE)
    last = await bench.client.get_workflow_handle(workflow_id(run.execution_id)).describe()
    assert first.run_id == last.run_id


async def test_the_outcome_follows_a_continuation(bench: Bench) -> None:
    assert (await outcome(bench, await started(bench, "again"))).response == "done"


async def test_a_signal_arrives(bench: Bench) -> None:
    execution_id = await started(bench, "wait")
    await bench.engine.signal(execution_id, "message", "hello")
    assert (await outcome(bench, execution_id)).response == "hello"


async def test_cancelled_terminated_and_failed_runs_have_plain_outcomes(bench: Bench) -> None:
    cancelled, terminated = await started(bench, "wait"), await started(bench, "wait")
    failed = await started(bench, "fail")
    await bench.engine.cancel(cancelled)
    await bench.engine.terminate(terminated, "enough")
    assert await outcome(bench, cancelled) == RunOutcome(status=Status.CANCELLED, error="cancelled")
    assert await outcome(bench, terminated) == RunOutcome(status=Status.CANCELLED, error="terminated: enough")
    ended = await outcome(bench, failed)
    assert (ended.status, ended.failure_reason) == (Status.FAILED, FailureReason.INTERNAL)
    assert "it broke" in (ended.error or "")


@pytest.mark.parametrize("call", ["signal", "cancel", "terminate", "outcome"])
async def test_an_unknown_run_is_not_found(bench: Bench, call: str) -> None:
    arguments = {"signal": ("message", "x"), "terminate": ("why",)}.get(call, ())
    with pytest.raises(NotFound):
        await getattr(bench.engine, call)(ExecutionId("none"), *arguments)


async def test_steering_an_ended_run_is_not_found(bench: Bench) -> None:
    execution_id = await started(bench, "complete")
    await outcome(bench, execution_id)
    await bench.engine.cancel(execution_id)
    with pytest.raises(NotFound):
        await bench.engine.signal(execution_id, "message", "too late")
    with pytest.raises(NotFound):
        await bench.engine.terminate(execution_id, "too late")


async def test_describe_says_what_a_run_waits_for(bench: Bench) -> None:
    execution_id = await started(bench, "flaky")
    async with asyncio.timeout(LIMIT_S):
        while True:
            state = await bench.engine.describe(execution_id)
            if state.pending and state.pending[0].attempt > 1:
                break
            await asyncio.sleep(0.02)
    [step] = state.pending
    assert (state.phase, state.task_queue, step.kind) == ("running", QUEUE, "flaky")
    assert step.last_failure == "the disk is on fire"
    await bench.engine.terminate(execution_id, "seen")
    assert (await bench.engine.describe(execution_id)).phase == "ended"
    assert (await bench.engine.describe(ExecutionId("none"))).phase == "missing"


async def test_pollers_are_counted_per_queue(bench: Bench) -> None:
    async with asyncio.timeout(LIMIT_S):
        while await bench.engine.pollers(QUEUE) == 0:
            await asyncio.sleep(0.02)
    assert await bench.engine.pollers("nobody-there") == 0


async def test_health_is_good_and_timed(bench: Bench) -> None:
    check = await bench.engine.health()
    assert check.ok
    assert check.latency_ms is not None


async def test_large_bodies_go_by_reference_and_come_back_whole(bench: Bench) -> None:
    prompt = "large     " + "x" * 1_000_000
    execution_id = await started(bench, prompt)
    assert (await outcome(bench, execution_id)).response == prompt * 2
    # Read without the object store: what Temporal itself holds.
    bare = await Client.connect(bench.client.service_client.config.target_host)
    history = await bare.get_workflow_handle(workflow_id(execution_id)).fetch_history()
    assert sum(event.ByteSize() for event in history.events) < 20_000


async def test_a_body_is_put_once_however_often_it_is_passed_on(bench: Bench) -> None:
    execution_id = await started(bench, "large     " + "y" * 300_000)
    await outcome(bench, execution_id)
    before = bench.objects.puts
    handle = bench.client.get_workflow_handle(workflow_id(execution_id))
    await handle.result()
    assert bench.objects.puts == before


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_run_outlives_an_object_store_that_is_down(bench: Bench, failures: int) -> None:
    run = a_run("large     " + uuid.uuid4().hex * 10_000)
    await bench.engine.start(run, QUEUE)
    bench.objects.failures_left = failures
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                ended = await bench.engine.outcome(run.execution_id)
            except Unavailable:
                continue
            break
    assert ended.response == run.prompt * 2


async def test_a_body_beyond_the_limit_fails_at_once_where_it_is_made(bench: Bench) -> None:
    with pytest.raises(TooLarge, match="over the limit"):
        await bench.engine.start(a_run("z" * (BODY_LIMIT + 1)), QUEUE)
    ended = await outcome(bench, await started(bench, "huge"))
    assert ended.status is Status.FAILED
    assert "over the limit" in (ended.error or "")
    with pytest.raises(WorkflowFailureError):
        await bench.client.get_workflow_handle(workflow_id(await started(bench, "huge"))).result()
