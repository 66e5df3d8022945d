"""The clock of jobs: sleeps until the next one is due, and looks now and then for what other control planes stored."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.observability import logs

from ..on_demand.news import within
from ..store import jobs
from ..store.database import Database
from ..store.firings import Claim
from ..store.jobs import StoredJob
from .firing import Firings

LOOK_S = 5.0
"""How long it sleeps at most: a wall clock may be set, a machine may sleep, another control plane may be gone."""
AGAIN_S = 1.0
"""After a look that failed."""
AT_ONCE = 20
"""So many jobs that are due at the same moment are submitted side by side."""

log = logs.get(__name__)


class JobClock:
    """One a control plane; all of them of one database share what is due."""

    def __init__(self, database: Database, firings: Firings) -> None:
        self._database = database
        self._firings = firings
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_first = True

    async def start(self) -> None:
        self._task = asyncio.create_task(self._for_ever(), name="jobs")

    async def close(self) -> None:
        """What was claimed and not yet submitted is taken up at the next start, or by another control plane."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """A job may be due at another time than before."""
        self._changed.set()

    async def _for_ever(self) -> None:
        while True:
            self._changed.clear()
            try:
                seconds = await self.look()
            except Refusal as error:
                log.warning("Jobs that are due wait", reason=error.detail)
                seconds = AGAIN_S
            except Exception as error:  # the edge of this task: a defect may cost one look, never all of them
                log.error("Looking for jobs that are due failed", error)
                seconds = AGAIN_S
            await within(self._changed, seconds)

    async def look(self) -> float:
        """Submit all that is due; the seconds until there may be more.

        Raises:
            Unavailable: the database does not answer.
        """
        now = datetime.now(UTC)
        left = await self._firings.take_over(now, own=self._is_first)
        self._is_first = False
        await self._submit(left, now)
        next_at = await self._next_at()
        if next_at is not None and next_at <= now:
            async with self._database.reading() as connection:
                due = await jobs.due(connection, now, limit=AT_ONCE)
            await self._submit([claim for job in due if (claim := await self._take(job, now))], now)
            next_at = await self._next_at()
        return LOOK_S if next_at is None else max(0.0, min(LOOK_S, (next_at - datetime.now(UTC)).total_seconds()))

    async def _next_at(self) -> datetime | None:
        async with self._database.reading() as connection:
            return await jobs.next_at(connection)

    async def _take(self, job: StoredJob, now: datetime) -> Claim | None:
        assert job.next_at is not None  # it is due
        return await self._firings.take_due(job.id, job.next_at, now)

    async def _submit(self, claims: Sequence[Claim], now: datetime) -> None:
        async with asyncio.TaskGroup() as group:
            for claim in claims:
                group.create_task(self._submitted(claim, now))

    async def _submitted(self, claim: Claim, now: datetime) -> None:
        try:
            firing = await self._firings.submit(claim, now)
        except Refusal as error:
            log.warning("A job that is due waits", job_id=claim.firing.job_id, reason=error.detail)
            return
        told = {"job_id": firing.job_id, "outcome": firing.outcome, "due": firing.scheduled_at.isoformat()}
        log.info("A job was due", **told, execution_id=firing.execution_id, reason=firing.reason)
