"""A member's run, asked of the control plane; the workflow starts it."""

from temporalio import activity

from kubiya_workers.contracts.activities import DELEGATE, MemberRequest
from kubiya_workers.contracts.executions import RunStart

from ..metrics import StepKind
from .steps import Steps


class Delegate:
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    @activity.defn(name=DELEGATE)
    async def run(self, request: MemberRequest) -> RunStart:
        """Asked for again by another attempt, it is the same run."""
        async with self._steps.edge(request.execution_id, StepKind.DELEGATE, request.delegation.member):
            return await self._steps.client.executions.delegate(request.execution_id, request.delegation)
