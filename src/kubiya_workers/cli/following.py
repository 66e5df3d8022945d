"""A run from its submission to its end, shown as it goes."""

import asyncio
import contextlib
from dataclasses import dataclass

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.events import Done, HistoryComplete
from kubiya_workers.contracts.executions import Execution, NewExecution, Status, Submitted

from .beneath import beneath
from .exit import Exit, Failed
from .render.renderer import Renderer
from .run_request import RunRequest

_SETTLE_S = 5.0
_LOOK_S = 0.05
_GRACE_S = 2.0
"""How long a run over its time may take to say so itself, before it is cancelled from here."""


@dataclass(frozen=True)
class Ended:
    """A run that is over, as the control plane has it stored."""

    execution: Execution

    @property
    def exit_status(self) -> Exit:
        return Exit.DONE if self.execution.status is Status.COMPLETED else Exit.FAILED

    @property
    def reason(self) -> str | None:
        """Why it did not complete, in a sentence; None when it did."""
        run = self.execution
        match run.status:
            case Status.COMPLETED:
                return None
            case Status.CANCELLED:
                return f"The execution was cancelled{_because(run.error_message)}"
            case _:
                code = f" ({run.failure_reason})" if run.failure_reason else ""
                return f"The execution {run.status}{code}{_because(run.error_message)}"


async def submit(cp: ControlPlaneClient, asked: RunRequest, new: NewExecution) -> Submitted:
    """Submit `new`, as the request has become, and tell the plan that it follows.

    When this is cancelled midway, what was submitted is cancelled too: nobody would know of it.
    """
    execute = cp.teams.execute if asked.who.kind == "team" else cp.agents.execute
    request = asyncio.create_task(execute(asked.who.ref, new, idempotency_key=asked.idempotency_key))
    try:
        submitted = await asyncio.shield(request)
        _tell_plan(asked, submitted)
        return submitted
    except asyncio.CancelledError:
        with contextlib.suppress(Refusal, TimeoutError):
            submitted = await asyncio.wait_for(request, _SETTLE_S)
            _tell_plan(asked, submitted)
            await cp.executions.cancel(submitted.id)
        raise


def _tell_plan(asked: RunRequest, submitted: Submitted) -> None:
    if asked.plan_file is not None:
        asked.plan_file.executed(submitted.id)


async def follow(cp: ControlPlaneClient, execution: str, renderer: Renderer, *, timeout: float | None = None) -> Ended:
    """Show the run until it is over; broken connections are taken up again where they broke.

    Raises:
        Failed: it was not over after `timeout` seconds, and was cancelled.
    """
    try:
        async with asyncio.timeout(None if timeout is None else timeout + _GRACE_S):
            await show(cp, execution, renderer)
    except TimeoutError:
        await cancel(cp, execution)
        raise Failed(
            f"The execution did not end within {timeout:g} seconds and was cancelled",
            fix=f"See how far it came: kubiya execution logs {execution}",
        ) from None
    return Ended(await cp.executions.get(execution))


async def cancel(cp: ControlPlaneClient, execution: str) -> None:
    """Cancel a run and wait, within limits, until its tools have stopped; one that is over stays as it is."""
    with contextlib.suppress(Refusal, TimeoutError):
        await cp.executions.cancel(execution)
        async with asyncio.timeout(_SETTLE_S):
            while not (await cp.executions.get(execution)).status.is_terminal:  # noqa: ASYNC110 - it ends elsewhere
                await asyncio.sleep(_LOOK_S)


async def show(cp: ControlPlaneClient, execution: str, renderer: Renderer, *, past_only: bool = False) -> None:
    """Show the run to its end, or to where it is now; with what its members do, where it is a team's."""
    stream = cp.executions.stream(execution)
    async with beneath(cp, renderer) as members, contextlib.aclosing(stream) as events:
        async for event_id, event in events:
            await members.before(event)
            renderer.event(event_id, event)
            if isinstance(event, Done) or (past_only and isinstance(event, HistoryComplete)):
                return
            if not past_only:
                members.after(event)


def _because(text: str | None) -> str:
    return f": {text}" if text else ""
