"""Jobs as people define them: checked when they are written, shown with what became of them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound
from kubiya_workers.contracts.ids import JobId, new_id
from kubiya_workers.contracts.jobs import (
    ExecutorType,
    Firing,
    Job,
    JobPatch,
    NewJob,
    Overlap,
    ShownJob,
    Trigger,
    TriggerType,
)
from kubiya_workers.contracts.keys import Caller, Scope

from ..jobs import template, webhooks
from ..jobs.firing import Occasion
from ..jobs.schedule import parsed
from ..store import agents, environments, firings, queues, teams
from ..store import jobs as store
from ..store.database import Database
from ..store.jobs import StoredJob
from .patches import patched
from .shared_secret import shared_secret

SHOWN_AHEAD = 3


class Jobs:
    """The service. `url` is where senders reach this control plane; `changed` is told of each job that changed."""

    def __init__(self, database: Database, url: str, changed: Callable[[], None]) -> None:
        self._database = database
        self._url = url
        self._changed = changed
        self._secret = ""

    # --- read

    async def list(self, *, skip: int, limit: int) -> Sequence[ShownJob]:
        """In the order of their names, without the addresses of their webhooks."""
        async with self._database.reading() as connection:
            found = await store.list_(connection, skip=skip, limit=limit)
            last = await firings.last_of(connection, [job.id for job in found])
        return [_shown(job, last.get(job.id)) for job in found]

    async def get(self, ref: str, caller: Caller) -> ShownJob:
        """By id or name, with the address of its webhook for those who may trigger it. Raises `NotFound`."""
        async with self._database.reading() as connection:
            job = await _find(connection, ref)
            last = await firings.last_of(connection, [job.id])
        return _shown(job, last.get(job.id), await self._address(job) if caller.scope is not Scope.READ else None)

    async def firings(self, ref: str, *, skip: int, limit: int) -> Sequence[Firing]:
        """What became of each time that it was due, newest first. Raises `NotFound`."""
        async with self._database.reading() as connection:
            job = await _find(connection, ref)
            return await firings.list_(connection, job.id, skip=skip, limit=limit)

    async def id_of(self, ref: str) -> JobId:
        """Raises `NotFound`."""
        async with self._database.reading() as connection:
            return (await _find(connection, ref)).id

    # --- write

    async def create(self, new: NewJob, caller: Caller) -> ShownJob:
        """Made by the caller, in whose name it runs.

        Raises:
            Invalid: a field is wrong, or contradicts another.
            NotFound: no such agent, team, queue or environment.
            Conflict: the name is taken.
        """
        now = datetime.now(UTC)
        fields: dict[str, Any] = {
            **new.model_dump(),
            "overlap": new.overlap or _overlap(new.trigger_type),
            "planning_mode": new.planning_mode or _planned(new.entity_type),
        }
        job = StoredJob(id=JobId(new_id()), key_id=caller.key_id, created_at=now, updated_at=now, **fields)
        async with self._database.writing() as connection:
            job = await _settled(connection, job, now)
            await store.insert(connection, job)
        self._changed()
        return _shown(job, None, await self._address(job))

    async def change(self, ref: str, patch: JobPatch, caller: Caller) -> ShownJob:
        """From now on it runs in the caller's name: whoever says what it does, answers for it.

        Raises:
            NotFound, Invalid, Conflict: as `create`.
        """
        changes = {**patch.changes(), "key_id": caller.key_id}
        if patch.entity_type is not None and patch.planning_mode is None:
            changes["planning_mode"] = _planned(patch.entity_type)
        return await self._rewritten(ref, caller, lambda job: patched(job, changes))

    async def enable(self, ref: str, caller: Caller) -> ShownJob:
        """In the caller's name; a schedule is due from now on. Raises `NotFound`."""
        changes = {"enabled": True, "key_id": caller.key_id}
        return await self._rewritten(ref, caller, lambda job: patched(job, changes))

    async def disable(self, ref: str, caller: Caller) -> ShownJob:
        """It does not fire by itself any more. Raises `NotFound`."""
        return await self._rewritten(ref, caller, lambda job: patched(job, {"enabled": False}))

    async def rotate_webhook(self, ref: str, caller: Caller) -> ShownJob:
        """Another address; the old one is worth nothing at once. Raises `NotFound`, or `Conflict` without a webhook."""

        def rotated(job: StoredJob) -> StoredJob:
            if job.trigger_type is not TriggerType.WEBHOOK:
                raise Conflict(f"job {job.name!r} is of the type {job.trigger_type}: it has no webhook")
            return patched(job, {"webhook_number": job.webhook_number + 1})

        return await self._rewritten(ref, caller, rotated)

    async def delete(self, ref: str) -> None:
        """The job and what is told of its firings; its executions stay. Raises `NotFound`."""
        async with self._database.writing() as connection:
            await store.delete(connection, (await _find(connection, ref)).id)
        self._changed()

    # --- what sets one off

    async def by_hand(self, ref: str, trigger: Trigger, caller: Caller, identity: str | None) -> tuple[JobId, Occasion]:
        """The job, and why it is to fire: in the caller's name.

        Raises:
            NotFound: no such job.
            Invalid: a variable that its template does not have, or a payload for one without a webhook.
        """
        async with self._database.reading() as connection:
            job = await _find(connection, ref)
        if job.trigger_type is TriggerType.MANUAL:
            template.check_variables(job.prompt_template, trigger.variables)
        elif trigger.variables:
            raise Invalid(f"a job of the type {job.trigger_type} takes no variables; one of the type manual does")
        values: Mapping[str, Any] = trigger.variables
        if trigger.payload is not None:
            if job.trigger_type is not TriggerType.WEBHOOK:
                raise Invalid(f"a job of the type {job.trigger_type} takes no payload; one with a webhook does")
            values = {template.PAYLOAD: trigger.payload}
        identity = f"{caller.key_id} {identity}" if identity else new_id()
        return job.id, Occasion(TriggerType.MANUAL, identity, datetime.now(UTC), caller.key_id, values)

    async def of_webhook(self, job_id: str, token: str) -> StoredJob:
        """The job of an address.

        Raises:
            NotFound: the same for a wrong token and a job that is not there.
        """
        secret = await self._shared_secret()
        async with self._database.reading() as connection:
            job = await store.get(connection, JobId(job_id))
        fits = webhooks.is_token(token, secret, JobId(job_id), job.webhook_number if job else 0)
        if job is None or not fits or job.trigger_type is not TriggerType.WEBHOOK:
            raise NotFound("there is no webhook at this address")
        return job

    # --- inside

    async def _rewritten(self, ref: str, caller: Caller, rewrite: Callable[[StoredJob], StoredJob]) -> ShownJob:
        now = datetime.now(UTC)
        async with self._database.writing() as connection:
            job = await store.lock(connection, (await _find(connection, ref)).id)
            if job is None:
                raise NotFound(f"no job {ref!r}", fix="List them with: kubiya job list")
            job = await _settled(connection, rewrite(job), now, was=job)
            await store.update(connection, job)
            last = await firings.last_of(connection, [job.id])
        self._changed()
        return _shown(job, last.get(job.id), await self._address(job))

    async def _address(self, job: StoredJob) -> str | None:
        if job.trigger_type is not TriggerType.WEBHOOK:
            return None
        token = webhooks.token(await self._shared_secret(), job.id, job.webhook_number)
        return f"{self._url}/api/v1/webhooks/{job.id}/{token}"

    async def _shared_secret(self) -> str:
        self._secret = self._secret or await shared_secret(self._database, webhooks.SECRET)
        return self._secret


def _overlap(trigger: TriggerType) -> Overlap:
    """A schedule comes again by itself; a delivery is an event of its own, and nobody sends it twice."""
    return Overlap.SKIP if trigger is TriggerType.CRON else Overlap.ALLOW


async def _settled(
    connection: AsyncConnection, job: StoredJob, now: datetime, was: StoredJob | None = None
) -> StoredJob:
    """The job with what follows from its fields, once they are found to fit each other.

    Raises:
        Invalid, NotFound: they do not, or what they name is not there.
    """
    template.check(job.prompt_template, job.trigger_type)
    _check_environment(job)
    follows: dict[str, Any] = await _entity(connection, job)
    follows |= await _place(connection, job)
    is_hook = job.trigger_type is TriggerType.WEBHOOK
    if not is_hook and job.webhook_secret is not None:
        raise Invalid(f"webhook_secret: a job of the type {job.trigger_type} has no webhook")
    follows["next_at"] = _next_at(job, was, now)
    return job.model_copy(update=follows)


def _next_at(job: StoredJob, was: StoredJob | None, now: datetime) -> datetime | None:
    """When its schedule is due; what is due already stays so where the schedule is the same."""
    if job.trigger_type is not TriggerType.CRON:
        if job.cron_schedule is not None or job.cron_timezone is not None:
            raise Invalid(f"cron_schedule: a job of the type {job.trigger_type} has none", fix="trigger_type: cron")
        return None
    if job.cron_schedule is None:
        raise Invalid("cron_schedule: a job of the type cron needs one", fix="Such as '30 9 * * mon-fri', or @daily.")
    schedule = parsed(job.cron_schedule, job.cron_timezone)
    if not job.enabled:
        return None
    if was is not None and was.next_at is not None and _timing(was) == _timing(job):
        return was.next_at
    return schedule.next(now)


def _timing(job: StoredJob) -> tuple[str | None, str | None]:
    return job.cron_schedule, job.cron_timezone


async def _entity(connection: AsyncConnection, job: StoredJob) -> dict[str, Any]:
    """What runs, by its id and name."""
    if job.planning_mode != _planned(job.entity_type):
        raise Invalid(
            f"planning_mode: {job.planning_mode!r} is not available: a job runs what is defined already",
            fix=f"For the entity_type {job.entity_type} it is {_planned(job.entity_type)}, or may be left out.",
        )
    kind = teams if job.entity_type == "team" else agents
    found = await kind.find(connection, job.entity_id)
    if found is None:
        raise NotFound(f"no {job.entity_type} {job.entity_id!r}", fix=f"List them with: kubiya {job.entity_type} list")
    return {"entity_id": found.id, "entity_name": found.name}


def _planned(entity_type: str) -> str:
    return f"predefined_{entity_type}"


async def _place(connection: AsyncConnection, job: StoredJob) -> dict[str, Any]:
    """Where it runs, by name; what the executor does not use is left out."""
    match job.executor_type:
        case ExecutorType.AUTO:
            if job.worker_queue_name or job.environment_name:
                raise Invalid(
                    "executor_type: auto goes with no queue and no environment",
                    fix="Leave out worker_queue_name and environment_name, or set them to null.",
                )
        case ExecutorType.SPECIFIC_QUEUE:
            if not job.worker_queue_name:
                raise Invalid("worker_queue_name: the executor specific_queue needs one")
            queue = await queues.find(connection, job.worker_queue_name)
            if queue is None:
                raise NotFound(
                    f"worker_queue_name: no worker queue {job.worker_queue_name!r}", fix="kubiya queue create NAME"
                )
            return {"worker_queue_name": queue.name, "environment_name": None}
        case ExecutorType.ENVIRONMENT:
            if not job.environment_name:
                raise Invalid("environment_name: the executor environment needs one")
            environment = await environments.find(connection, job.environment_name)
            if environment is None:
                raise NotFound(
                    f"environment_name: no environment {job.environment_name!r}",
                    fix="List them with: kubiya environment list",
                )
            return {"environment_name": environment.name, "worker_queue_name": None}
    return {}


def _check_environment(job: StoredJob) -> None:
    if job.execution_environment is not None and job.execution_environment.secrets:
        raise Invalid(
            "execution_environment: a job keeps no secrets",
            fix="Put them into the environment or the agent that it runs with.",
        )


async def _find(connection: AsyncConnection, ref: str) -> StoredJob:
    job = await store.find(connection, ref)
    if job is None:
        raise NotFound(f"no job {ref!r}", fix="List them with: kubiya job list")
    return job


def _shown(job: StoredJob, last: Firing | None, address: str | None = None) -> ShownJob:
    ahead: tuple[datetime, ...] = ()
    if job.next_at is not None and job.cron_schedule is not None:
        after = parsed(job.cron_schedule, job.cron_timezone).following(job.next_at, SHOWN_AHEAD - 1)
        ahead = (job.next_at, *after)
    fields = {name: getattr(job, name) for name in Job.model_fields}
    return ShownJob(
        **fields,
        webhook_url=address,
        webhook_signed=job.webhook_secret is not None,
        variables=tuple(template.asked_for(job.prompt_template)),
        next_firings=ahead,
        last_firing=last,
    )
