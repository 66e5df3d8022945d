"""Facts that the run itself makes: status changes and approvals."""

from temporalio import activity

from kubiya_workers.client import events as event_log
from kubiya_workers.contracts.activities import ANNOUNCE, Announcement

from ..metrics import StepKind
from .steps import Steps


class Announce:
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    @activity.defn(name=ANNOUNCE)
    async def run(self, announcement: Announcement) -> None:
        """Said again after a lost answer, it is said once: facts are known by their keys."""
        metrics = self._steps.metrics
        with metrics.step(StepKind.ANNOUNCE):
            await event_log.append(self._steps.client.connection.http, announcement.execution_id, announcement.events)
        metrics.events_sent(len(announcement.events))
