"""What polls: one Temporal worker, opened once and closed once; a worker that was paused opens another."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from kubiya_workers import __version__
from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.workflows.execution import ExecutionWorkflow

from .connection import Connection

READY_TIMEOUT_S = 30.0
_READY_POLL_S = 0.02
# Beats travel every second, so that a cancelled tool hears of it within two.
_BEAT_THROTTLE = timedelta(seconds=0.8)
# Steps are given up by us, not by the SDK: a paused worker finishes what it has, however long that takes.
_UNTIL_GIVEN_UP = timedelta(days=7)
# How long a workflow task waits for a dead worker's cache before any other worker may take it.
_STICKY_TIMEOUT = timedelta(seconds=3)

# The SDK's sandbox imports the workflow's module anew for each run, and replaces `isinstance` for the whole process by
# a function in Python: a fifth of a worker's processor time. It looks for accidental non-determinism; our workflow is
# the same code in every installation, and the tests play and replay every shape of it inside the sandbox.
_RUNNER = UnsandboxedWorkflowRunner()


class Runtime:
    """Polls a queue between `open` and `close`."""

    def __init__(
        self,
        connection: Connection,
        activities: Sequence[Callable[..., Any]],
        *,
        max_activities: int,
        max_workflows: int,
    ) -> None:
        self._connection = connection
        self._worker = Worker(
            connection.client,
            task_queue=connection.task_queue,
            workflows=[ExecutionWorkflow],
            activities=activities,
            workflow_runner=_RUNNER,
            identity=connection.identity,
            # Left to itself, the SDK compiles and hashes every loaded module for this: 0.9 s of each start.
            build_id=__version__,
            max_concurrent_activities=max_activities,
            max_concurrent_workflow_tasks=max_workflows,
            graceful_shutdown_timeout=_UNTIL_GIVEN_UP,
            sticky_queue_schedule_to_start_timeout=_STICKY_TIMEOUT,
            max_heartbeat_throttle_interval=_BEAT_THROTTLE,
            default_heartbeat_throttle_interval=_BEAT_THROTTLE,
        )
        self._run: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to poll; returns when the server has seen us poll.

        Raises:
            Unavailable: it did not within `READY_TIMEOUT_S`.
        """
        self._run = asyncio.create_task(self._worker.run(), name="temporal-worker")
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not await self._connection.is_polling():
                    self._raise_if_failed()
                    await asyncio.sleep(_READY_POLL_S)
        except TimeoutError:
            raise Unavailable(f"Temporal did not see this worker poll within {READY_TIMEOUT_S:.0f} s") from None

    def _raise_if_failed(self) -> None:
        if self._run is not None and self._run.done() and (error := self._run.exception()):
            raise Unavailable(f"the Temporal worker failed: {error}") from error

    async def is_polling(self) -> bool:
        """Whether the server counts it among those that poll.

        Raises:
            Unavailable: the server does not answer.
        """
        return await self._connection.is_polling()

    @property
    def ended(self) -> asyncio.Task[None]:
        """Done when it polls no more: closed, or failed."""
        assert self._run is not None, "open() first"
        return self._run

    async def close(self) -> None:
        """Stop taking work at once; return when all that runs has ended."""
        if self._run is None:
            return
        await self._worker.shutdown()
        await asyncio.gather(self._run, return_exceptions=True)
