"""A job fires: stored in one transaction, which one control plane wins, then submitted.

    pending → fired | refused            skipped, missed, refused: at once

What is pending is submitted again by whoever finds it; its execution has one identity, so that it is one execution.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import (
    Conflict,
    Invalid,
    NotFound,
    Refusal,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from kubiya_workers.contracts.executions import NewExecution
from kubiya_workers.contracts.ids import FiringId, JobId, KeyId
from kubiya_workers.contracts.jobs import ExecutorType, Firing, Outcome, Overlap, TriggerType
from kubiya_workers.contracts.keys import Scope

from ..auth import Auth, check_scope
from ..services.executions import named
from ..services.submitting import Submitting
from ..store import firings as store
from ..store import jobs
from ..store.database import Database
from ..store.firings import Claim
from ..store.jobs import StoredJob
from .due import LATE, decide
from .schedule import parsed
from .template import rendered
from .webhooks import MOST_A_MINUTE

KEPT = 500
"""Firings of a job that can be looked at; older ones are deleted."""
ABANDONED_AFTER = timedelta(seconds=30)
"""A control plane that has not submitted what it claimed for so long is gone, or could not."""


class Counts(Protocol):
    """Who is told of firings; `late_s` of a schedule's, from when it was due."""

    def job_fired(self, trigger: TriggerType, outcome: Outcome, *, late_s: float | None = None) -> None: ...


@dataclass(frozen=True)
class Occasion:
    """Why a job is to fire now. Of two with the same `identity` a job fires once."""

    trigger: TriggerType
    identity: str
    at: datetime
    key_id: KeyId
    """In whose name it runs."""
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Firings:
    """One a process. `owner` is the name of this control plane, the same after each start."""

    def __init__(self, database: Database, auth: Auth, submit: Submitting, counts: Counts, owner: str) -> None:
        self._database = database
        self._auth = auth
        self._submit = submit
        self._counts = counts
        self._owner = owner

    # --- by schedule

    async def take_due(self, job_id: JobId, due: datetime, now: datetime) -> Claim | None:
        """Take what a schedule owes since `due`, and say when it is due next; None when nothing is to be submitted."""
        async with self._database.writing() as connection:
            job = await jobs.lock(connection, job_id)
            if job is None or job.next_at != due:
                return None  # another control plane took it, or it was changed
            taken, claim = await self._taken(connection, job, due, now)
        for firing in taken:
            self._counts.job_fired(firing.trigger, firing.outcome, late_s=_late_s(firing, now))
        return claim

    async def _taken(
        self, connection: AsyncConnection, job: StoredJob, due: datetime, now: datetime
    ) -> tuple[Sequence[Firing], Claim | None]:
        """What is settled of it already, and what is to be submitted."""
        occasion = Occasion(TriggerType.CRON, due.isoformat(), due, job.key_id)
        try:
            schedule = parsed(job.cron_schedule or "", job.cron_timezone)
        except Invalid as error:  # its time zone is known no more: it has no next time
            await jobs.move(connection, job.id, None)
            refused = _firing(job, occasion, now, Outcome.REFUSED, error.detail)
            await store.insert(connection, refused, owner=self._owner)
            return [refused], None
        decision = decide(schedule, due, now, timedelta(seconds=job.catch_up_s))
        await jobs.move(connection, job.id, decision.next_at)
        taken: list[Firing] = []
        if (missed := decision.missed) is not None:
            occasion = Occasion(TriggerType.CRON, f"missed {missed.last.isoformat()}", missed.last, job.key_id)
            told = _firing(job, occasion, now, Outcome.MISSED, missed.told).model_copy(update={"count": missed.count})
            await store.insert(connection, told, owner=self._owner)
            taken.append(told)
        if decision.fire is None:
            return taken, None
        occasion = Occasion(TriggerType.CRON, decision.fire.isoformat(), decision.fire, job.key_id)
        firing, claim = await self._decided(connection, job, occasion, now)
        return taken if claim else [*taken, firing], claim

    async def take_over(self, now: datetime, *, own: bool) -> Sequence[Claim]:
        """What somebody claimed and did not submit; `own`: also what this control plane claimed before its start."""
        async with self._database.reading() as connection:
            if not await store.any_pending(connection):
                return ()
        async with self._database.writing() as connection:
            return await store.take_over(connection, self._owner, now, before=now - ABANDONED_AFTER, own=own)

    # --- by a delivery, by hand

    async def fire(self, job_id: JobId, occasion: Occasion) -> Firing:
        """Fire now; what became of it, which stays pending where a part that is needed does not answer.

        Raises:
            NotFound: the job was deleted.
            TooManyRequests: too many deliveries for one minute.
            Conflict: it was refused; the firing says so, too.
        """
        async with self._database.writing() as connection:
            job = await jobs.lock(connection, job_id)
            if job is None:
                raise NotFound(f"no job {job_id}", fix="List them with: kubiya job list")
            known = await store.get(connection, _id(job, occasion))
            if known is not None and known.outcome in (Outcome.PENDING, Outcome.FIRED):
                return known
            if occasion.trigger is TriggerType.WEBHOOK:
                await _check_rate(connection, job, occasion.at)
            firing, claim = await self._decided(connection, job, occasion, occasion.at)
        if claim is None:
            self._counts.job_fired(firing.trigger, firing.outcome)
        else:
            firing = await self.submit(claim, occasion.at)
        if firing.outcome is Outcome.REFUSED:
            raise Conflict(f"job {job.name!r} was not fired: {firing.reason}", fix=f"kubiya job get {job.id}")
        return firing

    # --- the two steps

    async def _decided(
        self, connection: AsyncConnection, job: StoredJob, occasion: Occasion, now: datetime
    ) -> tuple[Firing, Claim | None]:
        """Store whether it fires; the claim where it is to be submitted."""
        outcome, reason, prompt = await _outcome(connection, job, occasion)
        if outcome is Outcome.PENDING and now - occasion.at > LATE:
            reason = f"caught up: it was due at {occasion.at:%Y-%m-%d %H:%M} UTC, when no control plane ran"
        firing = _firing(job, occasion, now, outcome, reason)
        if not await store.insert(connection, firing, owner=self._owner, prompt=prompt, key_id=occasion.key_id):
            known = await store.get(connection, firing.id)
            assert known is not None  # it is in the way
            if known.outcome in (Outcome.PENDING, Outcome.FIRED, Outcome.MISSED):
                return known, None
            await store.replace(connection, firing, owner=self._owner, prompt=prompt, key_id=occasion.key_id)
        await store.prune(connection, job.id, KEPT)
        return firing, Claim(firing, prompt, occasion.key_id) if outcome is Outcome.PENDING else None

    async def submit(self, claim: Claim, now: datetime) -> Firing:
        """Submit what was claimed, and store how that went: it stays pending while a part that is needed is away."""
        try:
            firing = await self._submitted(claim)
        except Unavailable:
            return claim.firing
        async with self._database.writing() as connection:
            await store.settle(
                connection, firing.id, firing.outcome, reason=firing.reason, execution_id=firing.execution_id
            )
        self._counts.job_fired(firing.trigger, firing.outcome, late_s=_late_s(firing, now))
        return firing

    async def _submitted(self, claim: Claim) -> Firing:
        firing, identity = claim.firing, f"kubiya:firing:{claim.firing.id}"
        execution_id = named(identity)
        fired = firing.model_copy(update={"outcome": Outcome.FIRED, "execution_id": execution_id})
        if await self._submit.executions.find(execution_id):
            return fired  # by whoever died before it could say so
        async with self._database.reading() as connection:
            job = await jobs.get(connection, firing.job_id)
        try:
            if job is None:
                raise NotFound("the job was deleted")
            await self._check_key(claim.key_id, job)
            new = _execution(job, firing, claim.prompt)
            await self._submit(
                job.entity_type, job.entity_id, new, key_id=claim.key_id, identity=identity, job_id=job.id
            )
        except Unavailable:
            raise
        except Refusal as refusal:
            if await self._submit.executions.find(execution_id):
                return fired  # by another control plane, meanwhile
            return firing.model_copy(update={"outcome": Outcome.REFUSED, "reason": refusal.detail})
        return fired

    async def _check_key(self, key_id: KeyId, job: StoredJob) -> None:
        try:
            check_scope(await self._auth.authenticate_id(key_id), frozenset({Scope.CLIENT}))
        except Unauthorized as error:
            raise Conflict(
                f"it runs in the name of a key that is not good any more: {error.detail}; "
                f"take it over with: kubiya job enable {job.id}"
            ) from None


async def _outcome(connection: AsyncConnection, job: StoredJob, occasion: Occasion) -> tuple[Outcome, str | None, str]:
    """Whether it is to be submitted, why not, and the prompt."""
    if not job.enabled and occasion.trigger is not TriggerType.MANUAL:
        return Outcome.REFUSED, "the job is disabled", ""
    if job.overlap is Overlap.SKIP and (running := await store.running(connection, job.id)) is not None:
        return Outcome.SKIPPED, f"{running} of this job still runs", ""
    own = {"job": {"id": job.id, "name": job.name}, "scheduled_at": _moment(occasion.at)}
    try:
        return Outcome.PENDING, None, rendered(job.prompt_template, {**occasion.values, **own})
    except Refusal as error:
        return Outcome.REFUSED, error.detail, ""


async def _check_rate(connection: AsyncConnection, job: StoredJob, now: datetime) -> None:
    minute = timedelta(minutes=1)
    if await store.count_since(connection, job.id, TriggerType.WEBHOOK, now - minute) >= MOST_A_MINUTE:
        raise TooManyRequests(f"at most {MOST_A_MINUTE} deliveries a minute are taken for one job", retry_after=60)


def _id(job: StoredJob, occasion: Occasion) -> FiringId:
    return FiringId(str(uuid.uuid5(uuid.NAMESPACE_URL, f"kubiya:job:{job.id}:{occasion.trigger}:{occasion.identity}")))


def _firing(job: StoredJob, occasion: Occasion, now: datetime, outcome: Outcome, reason: str | None) -> Firing:
    return Firing(
        id=_id(job, occasion),
        job_id=job.id,
        trigger=occasion.trigger,
        scheduled_at=occasion.at,
        created_at=now,
        outcome=outcome,
        reason=reason,
    )


def _late_s(firing: Firing, now: datetime) -> float | None:
    is_timed = firing.trigger is TriggerType.CRON and firing.outcome is not Outcome.MISSED
    return (now - firing.scheduled_at).total_seconds() if is_timed else None


def _execution(job: StoredJob, firing: Firing, prompt: str) -> NewExecution:
    """What `execute` would be asked for."""
    on_queue = job.executor_type is ExecutorType.SPECIFIC_QUEUE
    within = job.executor_type is ExecutorType.ENVIRONMENT
    return NewExecution(
        prompt=prompt,
        worker_queue_id=job.worker_queue_name if on_queue else None,
        environment_id=job.environment_name if within else None,
        system_prompt=job.system_prompt,
        model=job.model,
        execution_environment=job.execution_environment,
        execution_metadata={
            "job_id": job.id,
            "job_name": job.name,
            "job_trigger": firing.trigger.value,
            "job_firing_id": firing.id,
            "scheduled_at": _moment(firing.scheduled_at),
        },
    )


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
