"""Why a run does not move: told from what Temporal knows of it, in words for people."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kubiya_workers.contracts.activities import CALL_MODEL
from kubiya_workers.contracts.executions import Status


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


def reason(status: Status, stored: str | None, progress: Progress, pollers: int, queue: str) -> str | None:
    """What the run waits for now; None while it works. `stored` is what the run itself said last.

    A run that waits for a person says so itself, and nothing here knows better.
    """
    if status in (Status.WAITING_FOR_INPUT, Status.PAUSED):
        return stored
    if progress.phase == "missing":
        return "Temporal, to take it"
    if pollers == 0:
        return f"a worker: none polls queue {queue} (kubiya worker start --queue-id={queue} --type=local)"
    if status is Status.PENDING:
        return f"a free slot on a worker of queue {queue}"
    return _backing_off(progress.pending) or _unclaimed(progress.pending, queue)


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
