"""Control planes of one database as far as jobs need them: all of their services, without HTTP and Temporal."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from kubiya_workers.contracts.executions import Execution, RunOutcome, RunStart, Status
from kubiya_workers.contracts.ids import ExecutionId, new_id
from kubiya_workers.contracts.jobs import Firing, JobPatch, NewJob, Outcome, ShownJob, Trigger, TriggerType
from kubiya_workers.contracts.keys import Caller, CreatedKey, NewKey, Scope
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.control_plane.jobs.firing import Firings, Occasion
from kubiya_workers.control_plane.jobs.loop import JobClock
from kubiya_workers.control_plane.services import keys
from kubiya_workers.control_plane.services.executions import Executions
from kubiya_workers.control_plane.services.jobs import Jobs
from kubiya_workers.control_plane.services.submitting import Submitting
from kubiya_workers.control_plane.store import executions as execution_store
from kubiya_workers.control_plane.store import jobs as job_store
from kubiya_workers.control_plane.store.database import Database

URL = "https://plane.test"


@dataclass
class Engine:
    """Takes what is started, and does nothing with it."""

    started: list[RunStart] = field(default_factory=list[RunStart])

    async def start(self, run: RunStart, task_queue: str) -> None:
        self.started.append(run)


class Models:
    def default(self) -> str:
        return "m"

    def price_of(self, name: str) -> None:
        return None


@dataclass
class Counts:
    counted: list[tuple[TriggerType, Outcome]] = field(default_factory=list[tuple[TriggerType, Outcome]])

    def job_fired(self, trigger: TriggerType, outcome: Outcome, *, late_s: float | None = None) -> None:
        self.counted.append((trigger, outcome))


@dataclass
class Plane:
    """One control plane of a database, with the caller whose key is used."""

    database: Database
    executions: Executions
    auth: Auth
    firings: Firings
    clock: JobClock
    jobs: Jobs
    key: CreatedKey
    counts: Counts

    @property
    def caller(self) -> Caller:
        return Caller(key_id=self.key.id, name=self.key.name, scope=self.key.scope)

    async def job(self, **fields: Any) -> ShownJob:
        wanted: dict[str, Any] = {
            "name": "j",
            "trigger_type": "manual",
            "prompt_template": "do",
            "entity_id": "default",
        }
        return await self.jobs.create(NewJob.model_validate({**wanted, **fields}), self.caller)

    async def hourly(self, **fields: Any) -> ShownJob:
        """It is not due by itself while a test runs: half an hour is to go, and half an hour has passed."""
        minute = (datetime.now(UTC).minute + 30) % 60
        return await self.job(trigger_type="cron", cron_schedule=f"{minute} * * * *", **fields)

    async def changed(self, ref: str, **fields: Any) -> ShownJob:
        return await self.jobs.change(ref, JobPatch(**fields), self.caller)

    async def make_due(self, job: ShownJob, ago: timedelta = timedelta(seconds=1)) -> datetime:
        """As if its schedule had been due so long ago."""
        due = datetime.now(UTC) - ago
        async with self.database.writing() as connection:
            await job_store.move(connection, job.id, due)
        return due

    async def firings_of(self, ref: str = "j") -> Sequence[Firing]:
        return await self.jobs.firings(ref, skip=0, limit=1000)

    async def told(self, ref: str = "j") -> list[str]:
        """The outcomes of its firings, newest first."""
        return [firing.outcome.value for firing in await self.firings_of(ref)]

    async def runs(self) -> Sequence[Execution]:
        async with self.database.reading() as connection:
            return await execution_store.list_(connection)

    async def end(self, execution_id: ExecutionId) -> None:
        await self.executions.close(execution_id, RunOutcome(status=Status.COMPLETED, response="done"))


@asynccontextmanager
async def plane(database: Database, owner: str = "one", key: CreatedKey | None = None) -> AsyncIterator[Plane]:
    """A control plane of a database with its seeds; `key` is made where none is given."""
    log, auth, counts = EventLog(database), Auth(database), Counts()
    await log.start()
    executions = Executions(database, log, cast(Any, Engine()))
    submit = Submitting(executions, database, cast(Any, Models()), on_demand=True)
    firings = Firings(database, auth, submit, counts, owner)
    clock = JobClock(database, firings)
    jobs = Jobs(database, URL, clock.wake)
    key = key or await keys.create(database, NewKey(name=f"key of {owner}", scope=Scope.CLIENT))
    try:
        yield Plane(database, executions, auth, firings, clock, jobs, key, counts)
    finally:
        await log.close()


async def until(condition: Any, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


def delivery(job: ShownJob, one: Plane, identity: str | None = None, **payload: object) -> Occasion:
    now = datetime.now(UTC)
    return Occasion(TriggerType.WEBHOOK, identity or new_id(), now, one.key.id, {"payload": payload})


async def by_hand(one: Plane, ref: str = "j", identity: str | None = None, **variables: str) -> Firing:
    return await one.firings.fire(*await one.jobs.by_hand(ref, Trigger(variables=variables), one.caller, identity))
