"""The edge of every activity: beats, the count, the log line, and what Temporal should do about a failure."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from kubiya_workers.contracts.errors import BudgetExhausted, Conflict, Invalid, Refusal
from kubiya_workers.observability import logs

from ..metrics import Metrics, StepKind, StepResult
from ..models.errors import UpstreamError
from ..tally import Tally

log = logs.get(__name__)

BEAT_S = 1.0
HANDED_BACK = "handed_back"
STALE = "stale_attempt"


@dataclass
class Running:
    """The activities that run in this process now, so that they can be given up together."""

    tasks: set[asyncio.Task[object]] = field(default_factory=set[asyncio.Task[object]])
    given_up: str | None = None

    def began(self, task: asyncio.Task[object]) -> None:
        if not self.tasks:
            self.given_up = None  # that was about those of another time
        self.tasks.add(task)

    def give_up(self, why: str) -> None:
        """Cancel all of them: this worker's lease is over, and another one may begin them again."""
        self.given_up = why
        for task in self.tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def edge(
    running: Running, tally: Tally, metrics: Metrics, execution_id: str, kind: StepKind, name: str, timeout_s: float
) -> AsyncGenerator[None]:
    """Around one activity: `name` is its model or tool. `timeout_s` is the worker's own limit for a step.

    Raises:
        ApplicationError: retryable or not, with the delay that a server asked for.
        asyncio.CancelledError: the run was cancelled.
    """
    task = asyncio.current_task()
    assert task is not None, "an activity runs in a task"
    began, failure = time.monotonic(), None
    running.began(task)
    tally.begin(execution_id)
    metrics.execution_seen(execution_id)
    log.debug("Task started", activity=f"{kind} {name}", execution_id=execution_id, attempt=activity.info().attempt)
    beating = asyncio.create_task(_beat(), name="beat")
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except BaseException as error:
        failure = _failure(error, running, timeout_s)
        raise failure from error
    finally:
        beating.cancel()
        running.tasks.discard(task)
        seconds = time.monotonic() - began
        tally.end(execution_id, ok=failure is None, seconds=seconds)
        metrics.step_ended(kind, _result(failure), seconds)
        _say(f"{kind} {name}", execution_id, seconds, failure)


def _result(failure: BaseException | None) -> StepResult:
    match failure:
        case None:
            return StepResult.COMPLETED
        case asyncio.CancelledError():
            return StepResult.CANCELLED
        case ApplicationError(type=why) if why == HANDED_BACK:
            return StepResult.HANDED_BACK
        case _:
            return StepResult.FAILED


async def _beat() -> None:
    while True:
        # The start of an activity is a beat of its own: a step that is over sooner needs no other.
        await asyncio.sleep(BEAT_S)
        activity.heartbeat()


def _say(what: str, execution_id: str, seconds: float, failure: BaseException | None) -> None:
    said = log.bind(activity=what, execution_id=execution_id, duration=f"{seconds:.1f}s")
    match failure:
        case None:
            said.info("Task completed")
        case asyncio.CancelledError():
            said.info("Task cancelled")
        case _:
            said.error("Activity failed", attempt=activity.info().attempt, reason=str(failure))


def _is_shut_down() -> bool:
    """Whether the SDK ended this step because its worker ends. That the worker is about to end is not enough: a run
    may be cancelled while a paused worker finishes its steps."""
    details = activity.cancellation_details()
    return details is not None and details.worker_shutdown


def _failure(error: BaseException, running: Running, timeout_s: float) -> BaseException:
    """What Temporal should hear. Retryability is decided here and nowhere else."""
    match error:
        case asyncio.CancelledError() if running.given_up or _is_shut_down():
            why = running.given_up or "the worker is shutting down"
            return ApplicationError(f"handed back: {why}", type=HANDED_BACK)
        case TimeoutError():
            return ApplicationError(f"it did not end within the worker's limit of {timeout_s:.0f} s", type="timeout")
        case UpstreamError():
            delay = None if error.retry_after is None else timedelta(seconds=error.retry_after)
            return ApplicationError(
                error.message, type="model_error", non_retryable=not error.retryable, next_retry_delay=delay
            )
        case Conflict():
            # Another attempt has taken over, or the run is over: nothing of this one may count.
            return ApplicationError(error.detail, type=STALE, non_retryable=True)
        case Refusal():
            return ApplicationError(
                error.detail, type=error.code, non_retryable=isinstance(error, BudgetExhausted | Invalid)
            )
        case _:
            return error
