"""Executions as Temporal workflows. Temporal's errors are renamed here, and its client is used nowhere else.

Every call may raise `Unavailable`: Temporal does not answer, or the object store that holds large bodies does not.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.api.enums.v1 import PendingActivityState, TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    DescribeWorkflowExecutionResponse,
    ListTaskQueuePartitionsRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    TerminatedError,
    TimeoutError,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode

from kubiya_workers.client.payloads import TOO_LARGE, Objects, data_converter
from kubiya_workers.contracts.activities import EXECUTION_WORKFLOW
from kubiya_workers.contracts.errors import NotFound, TooLarge, Unavailable
from kubiya_workers.contracts.executions import FailureReason, RunOutcome, RunStart, Status
from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.ids import ExecutionId, workflow_id
from kubiya_workers.settings.server import TemporalSettings

from ..services.waiting import PendingStep, Progress
from .connection import connect

_CALL_LIMIT = timedelta(seconds=5)
_HEALTH_LIMIT = timedelta(seconds=2)
_POLL_FRESH_S = 70.0
"""A live worker begins a poll at least once a minute; Temporal itself lists one for five minutes after it is gone."""


_WITH_PARENT = "by parent close policy"
"""Temporal's own word for what it ends because the workflow that started it is over."""


class TemporalEngine:
    """The workflow engine of the services. `watched` adds what is known of an embedded server's process."""

    def __init__(self, client: Client, *, watched: Callable[[], Check] | None = None) -> None:
        self._client = client
        self._watched = watched

    @classmethod
    async def connect(
        cls, settings: TemporalSettings, objects: Objects, *, watched: Callable[[], Check] | None = None
    ) -> "TemporalEngine":
        """Connect and ask for the namespace once, within seconds.

        Raises:
            Unauthorized: Temporal refuses the key or the certificate.
            NotFound: there is no such namespace.
            Unavailable: nothing answers there, or it is not a Temporal.
            BadSetting: a certificate cannot be read.
        """
        return cls(await connect(settings, data_converter(objects)), watched=watched)

    async def start(self, run: RunStart, task_queue: str) -> None:
        """Start the workflow of an execution; nothing happens when it was ever started before.

        Raises:
            TooLarge: the run's input is over the limit of a body.
        """
        with _renamed(run.execution_id):
            try:
                await self._client.start_workflow(
                    EXECUTION_WORKFLOW,
                    run,
                    id=workflow_id(run.execution_id),
                    task_queue=task_queue,
                    priority=Priority(priority_key=run.priority),
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    rpc_timeout=_CALL_LIMIT,
                )
            except WorkflowAlreadyStartedError:
                return

    async def signal(self, execution_id: ExecutionId, name: str, arg: object = None) -> None:
        """Tell the run something; `arg` None sends none.

        Raises:
            NotFound: the run has ended, or never began.
        """
        with _renamed(execution_id):
            await self._handle(execution_id).signal(name, args=[] if arg is None else [arg], rpc_timeout=_CALL_LIMIT)

    async def cancel(self, execution_id: ExecutionId) -> None:
        """Ask the run to stop; its worker has to hear it. One that has ended stays as it is.

        Raises:
            NotFound: the run never began.
        """
        with _renamed(execution_id):
            await self._handle(execution_id).cancel(rpc_timeout=_CALL_LIMIT)

    async def terminate(self, execution_id: ExecutionId, reason: str) -> None:
        """End the run without its worker.

        Raises:
            NotFound: the run has ended, or never began.
        """
        with _renamed(execution_id):
            await self._handle(execution_id).terminate(reason=reason, rpc_timeout=_CALL_LIMIT)

    async def outcome(self, execution_id: ExecutionId) -> RunOutcome:
        """Wait for the end of the run, through all its continuations, and say what came of it.

        Raises:
            NotFound: Temporal does not know the run.
        """
        with _renamed(execution_id):
            try:
                return await self._handle(execution_id).result()
            except WorkflowFailureError as failure:
                return _outcome_of(failure.cause)
            except ValidationError as error:
                return _failed(FailureReason.INTERNAL, f"the run's result cannot be read: {error.error_count()} errors")

    async def describe(self, execution_id: ExecutionId) -> Progress:
        """What the run does now, or waits for."""
        with _renamed(execution_id):
            try:
                found = await self._handle(execution_id).describe(rpc_timeout=_CALL_LIMIT)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return Progress("missing")
        running = found.status is WorkflowExecutionStatus.RUNNING
        return Progress("running" if running else "ended", found.task_queue, _pending(found.raw_description))

    async def pollers(self, task_queue: str) -> int:
        """How many workers poll this queue. Each of its partitions lists only its own pollers."""
        partitions = ListTaskQueuePartitionsRequest(
            namespace=self._client.namespace, task_queue=TaskQueue(name=task_queue)
        )
        with _renamed(task_queue):
            listed = await self._client.workflow_service.list_task_queue_partitions(partitions, timeout=_CALL_LIMIT)
            keys = [partition.key for partition in listed.workflow_task_queue_partitions]
            found = await asyncio.gather(*map(self._pollers_of, keys))
        oldest = time.time() - _POLL_FRESH_S
        return len({p.identity for pollers in found for p in pollers if p.last_access_time.seconds >= oldest})

    async def _pollers_of(self, partition: str) -> Sequence[PollerInfo]:
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=partition),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        return (await self._client.workflow_service.describe_task_queue(request, timeout=_CALL_LIMIT)).pollers

    async def health(self) -> Check:
        """Whether Temporal answers for our namespace; never raises."""
        process = self._watched() if self._watched else None
        if process is not None and not process.ok:
            return process
        began = time.perf_counter()
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            with _renamed(self._client.namespace):
                await self._client.workflow_service.describe_namespace(request, retry=False, timeout=_HEALTH_LIMIT)
        except (Unavailable, NotFound) as refusal:
            return Check(ok=False, detail=refusal.detail)
        return Check(
            ok=True,
            detail=process.detail if process else f"{self._client.service_client.config.target_host}",
            latency_ms=round((time.perf_counter() - began) * 1000, 2),
        )

    def _handle(self, execution_id: ExecutionId) -> WorkflowHandle[Any, RunOutcome]:
        return self._client.get_workflow_handle(workflow_id(execution_id), result_type=RunOutcome)


@contextmanager
def _renamed(subject: str) -> Generator[None, None, None]:
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(f"Temporal does not know {subject} as running") from error
        # Also for a refused key: it is ours that is refused, not the caller's.
        raise Unavailable(f"Temporal does not answer: {error.status.name.lower()}: {error.message}") from error
    except ApplicationError as error:
        if error.type != TOO_LARGE:
            raise
        raise TooLarge(error.message, fix="put large content into a file in the working directory") from error


def _outcome_of(cause: BaseException) -> RunOutcome:
    match cause:
        case CancelledError():
            return RunOutcome(status=Status.CANCELLED, error="cancelled")
        case TerminatedError() if cause.message == _WITH_PARENT:
            return RunOutcome(status=Status.CANCELLED, error="terminated with its team's run")
        case TerminatedError():
            return RunOutcome(status=Status.CANCELLED, error=f"terminated: {cause.message or 'without a reason'}")
        case TimeoutError():
            return _failed(FailureReason.TIMEOUT, "the run took longer than Temporal allows it")
        case _:
            return _failed(FailureReason.INTERNAL, str(cause) or type(cause).__name__)


def _failed(reason: FailureReason, error: str) -> RunOutcome:
    return RunOutcome(status=Status.FAILED, failure_reason=reason, error=error)


def _pending(description: DescribeWorkflowExecutionResponse) -> tuple[PendingStep, ...]:
    return tuple(
        PendingStep(
            kind=activity.activity_type.name,
            is_running=activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
            attempt=activity.attempt,
            last_failure=activity.last_failure.message or None,
            next_attempt_at=_due(activity),
        )
        for activity in description.pending_activities
    )


def _due(activity: PendingActivityInfo) -> datetime | None:
    if not activity.HasField("next_attempt_schedule_time"):
        return None
    return activity.next_attempt_schedule_time.ToDatetime(UTC)
