"""Why a run does not move: told from what Temporal knows of it, in words for people."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from kubiya_workers.contracts.activities import CALL_MODEL
from kubiya_workers.contracts.executions import Execution, Status
from kubiya_workers.contracts.workers import Worker, WorkerStatus

PAUSE_NOTE = "pause_note"
"""Where a paused worker's heartbeat says why, among its `worker_metadata`."""


@dataclass(frozen=True)
class PendingStep:
    """An activity that is not finished. `last_failure` is why its attempt before this one failed."""

    kind: str
    is_running: bool
    attempt: int
    last_failure: str | None
    next_attempt_at: datetime | None


@dataclass(frozen=True)
class Progress:
    """What Temporal knows of a run now. `missing`: it never heard of it, or has forgotten it."""

    phase: Literal["running", "ended", "missing"]
    task_queue: str = ""
    pending: tuple[PendingStep, ...] = ()


@dataclass(frozen=True)
class Hands:
    """A queue's name, how many poll it as Temporal counts them, and its workers: the live, and some that are gone.

    `on_demand` is what is known of the worker that is, or will be, started for this run alone.
    """

    queue: str
    pollers: int
    workers: Sequence[Worker] = ()
    on_demand: str | None = None


def reason(status: Status, stored: str | None, progress: Progress, hands: Hands, now: datetime) -> str | None:
    """What the run waits for now; None while it works. `stored` is what the run itself said last.

    A run that waits for a person says so itself, and nothing here knows better.
    """
    if status in (Status.WAITING_FOR_INPUT, Status.PAUSED):
        return stored
    if progress.phase == "missing":
        return "Temporal, to take it"
    paused = _all_paused(hands.workers)
    if paused and any(step.is_running for step in progress.pending):
        return None  # A paused worker finishes what it has.
    if paused or hands.pollers == 0:
        return hands.on_demand or f"a worker: {_nobody(hands, now)}"
    if status is Status.PENDING:
        return f"a free slot on a worker of queue {hands.queue}"
    return _backing_off(progress.pending) or _unclaimed(progress.pending, hands.queue)


def of_members(members: Iterable[Execution]) -> str | None:
    """What the open runs of a team's members wait for, each with its own `status_reason`; None while all work."""
    waits = [f"{run.entity_name} (execution {run.id}): {run.status_reason}" for run in members if run.status_reason]
    return "its member " + "; its member ".join(waits) if waits else None


def _nobody(hands: Hands, now: datetime) -> str:
    """Why nobody takes it; the newest that is known of the queue's workers."""
    if _all_paused(hands.workers):
        notes = [note for worker in hands.workers if (note := worker.worker_metadata.get(PAUSE_NOTE))]
        return f"those of queue {hands.queue} are paused" + (f" ({notes[0]})" if notes else "")
    gone = [worker for worker in hands.workers if not worker.status.is_live]
    last = max(gone, key=lambda worker: worker.disconnected_at or worker.last_heartbeat, default=None)
    match last:
        case Worker(status=WorkerStatus.CRASH_LOOPING):
            return f"the one on queue {hands.queue} ({last.hostname}) is crash-looping: {last.disconnect_reason}"
        case Worker(status=WorkerStatus.LOST, disconnected_at=datetime() as since):
            ago = _ago(now - since)
            return f"the last one on queue {hands.queue} ({last.hostname}) was lost {ago} ago: {last.disconnect_reason}"
        case _:
            return f"none polls queue {hands.queue} (kubiya worker start --queue-id={hands.queue} --type=local)"


def _all_paused(workers: Sequence[Worker]) -> bool:
    live = [worker.status for worker in workers if worker.status.is_live]
    return bool(live) and all(status is WorkerStatus.PAUSED for status in live)


def _ago(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _backing_off(pending: Iterable[PendingStep]) -> str | None:
    for step in pending:
        if step.next_attempt_at is not None and not step.is_running and step.last_failure:
            what = "the model" if step.kind == CALL_MODEL else "the tool"
            then = step.next_attempt_at.isoformat(timespec="seconds").replace("+00:00", "Z")
            return f"{what}, to be tried again at {then} (attempt {step.attempt}): {step.last_failure}"
    return None


def _unclaimed(pending: tuple[PendingStep, ...], queue: str) -> str | None:
    if pending and not any(step.is_running for step in pending):
        return f"a free slot on a worker of queue {queue}"
    return None
