"""`kubiya job`."""

from collections.abc import Iterable
from typing import Any

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.jobs import (
    Fired,
    Firing,
    JobPatch,
    NewJob,
    Outcome,
    ShownJob,
    Trigger,
    TriggerType,
)

from .. import talk
from ..ages import age, ahead
from ..connect import ask, settings
from ..exit import Exit
from ..output import Format, details, output_option, show, show_list
from . import execution
from .job_options import Defined, definition
from .paging import paged
from .words import confirm, json_object, made, pairs

_HEADS = ("ID", "NAME", "TRIGGER", "ENABLED", "NEXT", "LAST", "WHO", "AGE")
_FIRING_HEADS = ("DUE", "TRIGGER", "OUTCOME", "EXECUTION", "STATUS", "REASON")
_ONLY_WHILE = (
    "Jobs fire only while a control plane runs, and this one ends with this command. Keep one: kubiya server start"
)
_Ref = click.argument("job")


@click.group("job")
def group() -> None:
    """Runs by schedule, by webhook, by hand. A job is named by its id or its name.

    \b
    kubiya job create nightly --cron "30 2 * * *" --timezone Europe/Berlin --prompt "Rotate the logs"
    kubiya job create review --webhook --prompt "Review pull request {{payload.number}}"
    kubiya job trigger nightly
    """


@group.command("list")
@paged
@output_option
def list_(output: Format, skip: int, limit: int) -> None:
    """List jobs: when each fires next, and what became of its last time."""
    show_list(ask(lambda cp: cp.jobs.list(skip=skip, limit=limit)), output, _HEADS, _row, none="No jobs.")


@group.command()
@_Ref
@output_option
def get(job: str, output: Format) -> None:
    """Show one job: its next firings, its last one, the address of its webhook."""
    show(ask(lambda cp: cp.jobs.get(job)), output, _text)


@group.command()
@click.argument("name")
@click.option("--cron", metavar="EXPR", help="Fire by this schedule: five fields, or @daily and the like.")
@click.option("--webhook", is_flag=True, help="Fire by requests to an address of its own.")
@click.option("--disabled", is_flag=True, help="Do not fire by itself yet.")
@definition
@output_option
def create(output: Format, name: str, cron: str | None, webhook: bool, disabled: bool, defined: Defined) -> None:
    """Create a job; without --cron or --webhook, one that is only triggered by hand.

    What runs is the prompt, with {{job.name}}, {{scheduled_at}}, and {{payload.a.b}} of what a webhook was sent, or
    {{name}} of `kubiya job trigger --var name=value`. It runs in the name of the key that creates it.

    \b
    kubiya job create nightly --cron "30 2 * * *" --prompt "Rotate the logs" --queue ops
    kubiya job create review --webhook --webhook-secret-file ./secret --prompt-file ./review.txt
    """
    if cron and webhook:
        raise click.UsageError("A job fires by --cron or by --webhook: make two of them.")
    if not defined.has_prompt:
        raise click.UsageError("Say what to do: --prompt TEXT, or --prompt-file FILE.")
    kind = TriggerType.CRON if cron else TriggerType.WEBHOOK if webhook else TriggerType.MANUAL
    fields = {"entity_id": "default", **defined.fields}
    new = made(NewJob, name=name, trigger_type=kind, cron_schedule=cron, enabled=not disabled, **fields)
    job, ends = ask(lambda cp: _created(cp, new))
    show(job, output, _text)
    if ends and kind is not TriggerType.MANUAL:
        talk.note(_ONLY_WHILE)


@group.command()
@_Ref
@click.option("--name", help="A new name.")
@click.option("--cron", metavar="EXPR", help="Another schedule.")
@definition
@output_option
def update(output: Format, job: str, name: str | None, cron: str | None, defined: Defined) -> None:
    """Change a job; what is not named stays. From then on it runs in the name of your key."""
    given = {"name": name, "cron_schedule": cron}
    changes = {**{key: value for key, value in given.items() if value is not None}, **defined.changes}
    if not changes:
        raise click.UsageError("Say what to change.")
    taken_away = {key: None for key, value in changes.items() if value is None}
    patch = made(JobPatch, **changes).model_copy(update=taken_away)
    show(ask(lambda cp: cp.jobs.edit(job, patch)), output, _text)


@group.command()
@_Ref
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(job: str, yes: bool) -> None:
    """Delete a job, and what is told of its firings. Its runs stay."""
    confirm(f"Delete job {job}?", yes=yes)
    ask(lambda cp: cp.jobs.delete(job))
    talk.say(f"Deleted job {job}.")


@group.command()
@_Ref
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="A value for {{NAME}}; repeatable.")
@click.option("--payload", help="A JSON object in place of what its webhook is sent, or @FILE.")
@output_option
def trigger(output: Format, job: str, variables: tuple[str, ...], payload: str | None) -> int:
    """Fire a job now, a disabled one too, in the name of your key.

    \b
    kubiya job trigger deploy --var version=1.4.2
    kubiya job trigger review --payload @delivery.json
    """
    given: dict[str, Any] = {"variables": pairs(variables, "--var")}
    if payload is not None:
        given["payload"] = json_object(payload, "--payload")
    fired = ask(lambda cp: cp.jobs.trigger(job, Trigger(**given)))
    show(fired, output, _fired)
    if fired.execution_id is not None and output is Format.TEXT:
        talk.note(f"Follow it: kubiya execution logs {fired.execution_id} --follow")
    return Exit.REFUSED if fired.outcome is Outcome.SKIPPED else Exit.DONE


@group.command()
@_Ref
@output_option
def enable(output: Format, job: str) -> None:
    """Let a job fire by itself, from now on, in the name of your key."""
    show(ask(lambda cp: cp.jobs.enable(job)), output, _text)


@group.command()
@_Ref
@output_option
def disable(output: Format, job: str) -> None:
    """Keep a job from firing by itself. Runs that have begun go on."""
    show(ask(lambda cp: cp.jobs.disable(job)), output, _text)


@group.command()
@_Ref
@paged
@output_option
def executions(output: Format, job: str, skip: int, limit: int) -> None:
    """List the runs of a job, newest first."""
    found = ask(lambda cp: cp.jobs.executions(job, skip=skip, limit=limit))
    show_list(found, output, execution.HEADS, execution.row, none="No executions.")


@group.command()
@_Ref
@paged
@output_option
def firings(output: Format, job: str, skip: int, limit: int) -> None:
    """List what became of each time that a job was due: fired, skipped, missed or refused, and why."""
    found = ask(lambda cp: cp.jobs.firings(job, skip=skip, limit=limit))
    show_list(found, output, _FIRING_HEADS, _firing_row, none="It has not been due yet.")


@group.command("rotate-webhook")
@_Ref
@output_option
def rotate_webhook(output: Format, job: str) -> None:
    """Give its webhook another address; the old one is worth nothing at once."""
    show(ask(lambda cp: cp.jobs.rotate_webhook(job)), output, _address)


async def _created(cp: ControlPlaneClient, new: NewJob) -> tuple[ShownJob, bool]:
    """The job, and whether the control plane ends with this command."""
    from kubiya_workers.launchers import server
    from kubiya_workers.launchers.spec import ServerMode

    job, known = await cp.jobs.create(new), settings()
    state = server.status(known.paths) if known.url is None else None
    return job, state is not None and state.mode is ServerMode.ON_DEMAND


def _row(job: ShownJob) -> tuple[object, ...]:
    last = "never" if job.last_firing is None else _told(job.last_firing)
    who = job.entity_name or job.entity_id
    return (job.id, job.name, _kind(job), job.enabled, ahead(job.next_at), last, who, age(job.created_at))


def _kind(job: ShownJob) -> str:
    return f"{job.cron_schedule} ({job.cron_timezone or 'UTC'})" if job.cron_schedule else job.trigger_type


def _told(firing: Firing) -> str:
    """What became of it, in a few words: `fired 5m ago: completed`."""
    said = f"{firing.outcome} {age(firing.created_at)} ago"
    return f"{said}: {firing.execution_status}" if firing.execution_status else said


def _firing_row(firing: Firing) -> tuple[object, ...]:
    due = firing.scheduled_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return (due, firing.trigger, firing.outcome, firing.execution_id, firing.execution_status, firing.reason)


def _fired(fired: Fired) -> str:
    return details(
        (
            ("Outcome", fired.outcome),
            ("Execution", fired.execution_id),
            ("Reason", fired.reason),
        )
    )


def _address(job: ShownJob) -> str:
    return job.webhook_url or ""


def _text(job: ShownJob) -> str:
    return details(
        (
            ("ID", job.id),
            ("Name", job.name),
            ("Description", job.description),
            ("Enabled", job.enabled),
            ("Trigger", _kind(job)),
            ("Next", "\n".join(moment.isoformat() for moment in job.next_firings)),
            ("Last", None if job.last_firing is None else "\n".join(_last(job.last_firing))),
            ("Webhook", job.webhook_url),
            ("Signed", "by X-Hub-Signature-256" if job.webhook_signed else None),
            ("Asks for", job.variables),
            (job.entity_type.capitalize(), job.entity_name or job.entity_id),
            ("Model", job.model),
            ("Runs on", _place(job)),
            ("When one still runs", job.overlap),
            ("Caught up within", f"{job.catch_up_s}s" if job.trigger_type is TriggerType.CRON else None),
            ("Runs as key", job.key_id),
            ("System prompt", job.system_prompt),
            ("Prompt", job.prompt_template),
            ("Created", job.created_at.isoformat()),
        )
    )


def _last(firing: Firing) -> Iterable[str]:
    yield _told(firing)
    yield from (text for text in (firing.reason, firing.execution_id) if text)


def _place(job: ShownJob) -> str:
    if job.worker_queue_name:
        return f"queue {job.worker_queue_name}"
    if job.environment_name:
        return f"environment {job.environment_name}"
    return "a live worker, or one on demand"
