"""Why a run does not move, in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubiya_workers.contracts.executions import Execution, Status
from kubiya_workers.contracts.ids import EnvironmentId, ExecutionId, QueueId, WorkerId, new_id
from kubiya_workers.contracts.workers import Worker, WorkerStatus
from kubiya_workers.control_plane.services.waiting import Hands, PendingStep, Progress, of_members, reason

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUNNING = PendingStep("call_tool", True, 1, None, None)
QUEUED = PendingStep("call_tool", False, 1, None, None)


def worker(status: WorkerStatus, left: int | None = None, **fields: Any) -> Worker:
    """One that left so many seconds ago."""
    return Worker(
        id=WorkerId(new_id()),
        queue_id=QueueId("i"),
        queue_name="q",
        environment_id=EnvironmentId("e"),
        status=status,
        hostname="box",
        registered_at=NOW,
        last_heartbeat=NOW,
        disconnected_at=None if left is None else NOW - timedelta(seconds=left),
        **fields,
    )


def said(*workers: Worker, pollers: int = 0, steps: tuple[PendingStep, ...] = ()) -> str | None:
    progress = Progress("running", "i", steps)
    return reason(Status.RUNNING, None, progress, Hands("q", pollers, workers), NOW)


ACTIVE = worker(WorkerStatus.ACTIVE)
PAUSED = worker(WorkerStatus.PAUSED)
LOST = worker(WorkerStatus.LOST, 40, disconnect_reason="3 heartbeats missed")
LEFT = worker(WorkerStatus.DISCONNECTED, 10, disconnect_reason="shutdown")
LOOPS = worker(WorkerStatus.CRASH_LOOPING, 5, disconnect_reason="exit status 1")
NOBODY = "a worker: none polls queue q (kubiya worker start --queue-id=q --type=local)"


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ([], NOBODY),
        ([LOST], "a worker: the last one on queue q (box) was lost 40 s ago: 3 heartbeats missed"),
        ([LOST, LEFT], NOBODY),
        ([LOST, LEFT, LOOPS], "a worker: the one on queue q (box) is crash-looping: exit status 1"),
        ([PAUSED, LOOPS], "a worker: those of queue q are paused"),
        (
            [worker(WorkerStatus.PAUSED, worker_metadata={"pause_note": "disk swap"})],
            "a worker: those of queue q are paused (disk swap)",
        ),
        (
            [worker(WorkerStatus.LOST, 7_300, disconnect_reason="gone")],
            "a worker: the last one on queue q (box) was lost 2 h ago: gone",
        ),
    ],
)
def test_nobody_takes_it(workers: list[Worker], words: str) -> None:
    assert said(*workers) == words


def test_a_paused_worker_is_not_a_free_slot() -> None:
    """Temporal lists its polls for a while after they ended."""
    assert said(PAUSED, pollers=1, steps=(QUEUED,)) == "a worker: those of queue q are paused"
    assert said(PAUSED, ACTIVE, pollers=1, steps=(QUEUED,)) == "a free slot on a worker of queue q"


def test_what_runs_on_a_paused_worker_waits_for_nothing() -> None:
    assert said(PAUSED, steps=(RUNNING,)) is None
    assert said(ACTIVE, LOST, pollers=1, steps=(RUNNING,)) is None


@pytest.mark.parametrize("status", [Status.WAITING_FOR_INPUT, Status.PAUSED])
def test_a_run_that_waits_for_a_person_says_so_itself(status: Status) -> None:
    assert reason(status, "your answer", Progress("running"), Hands("q", 0), NOW) == "your answer"


def test_members_that_wait_are_named_with_their_executions() -> None:
    def of(name: str, reason: str | None) -> Execution:
        run_id, times = ExecutionId(f"id-{name}"), {"created_at": NOW, "updated_at": NOW}
        run = {"id": run_id, "execution_id": run_id, "entity_id": name, "entity_name": name, "prompt": "p"}
        return Execution.model_validate({**run, "status": Status.RUNNING, "status_reason": reason, **times})

    assert of_members([]) is None
    assert of_members([of("a", None)]) is None
    waits = of_members([of("a", None), of("b", "approval of shell by a person"), of("c", "paused by a person")])
    assert waits == (
        "its member b (execution id-b): approval of shell by a person; "
        "its member c (execution id-c): paused by a person"
    )
