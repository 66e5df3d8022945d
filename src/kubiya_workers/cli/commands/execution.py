"""`kubiya execution`."""

from datetime import datetime

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.executions import SORTS, ApprovalAnswer, Execution, Status
from kubiya_workers.contracts.priorities import named

from .. import following, talk
from ..ages import age, duration
from ..connect import ask
from ..output import Format, details, output_option, show, show_list
from ..render.lines import JsonLines
from ..render.neutral import one_line
from ..render.renderer import Renderer
from ..render.screen import screen
from ..render.text import TextRenderer
from .paging import paged
from .words import moment

_SORTS = [f"{way}{column}" for column in SORTS for way in ("", "-")]
HEADS = ("ID", "STATUS", "AGENT", "AGE", "PROMPT")


@click.group("execution")
def group() -> None:
    """Look at runs, follow them, steer them.

    \b
    kubiya execution list --status running
    kubiya execution logs ID --follow
    kubiya execution cancel ID
    """


@group.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only runs in this state.")
@click.option("--agent", help="Only runs of this agent, by id.")
@click.option("--team", help="Only runs of this team itself, by id.")
@click.option("--parent", help="Only runs that belong to this one: those of a team's members, for one.")
@click.option("--queue-id", "--queue", "queue", help="Only runs of this queue.")
@click.option("--worker", help="Only runs of this worker, by id.")
@click.option("--job", help="Only runs of this job, by id.")
@click.option("--since", callback=moment, help="Only newer ones: 10m, 2h, or a moment (RFC 3339).")
@click.option("--until", callback=moment, help="Only older ones; said in the same ways.")
@click.option("--text", help="Only runs with this in prompt, answer, error or id.")
@click.option("--sort", type=click.Choice(_SORTS), help="By what, after a - for descending; newest first without it.")
@paged
@output_option
def list_(
    output: Format,
    status: str | None,
    agent: str | None,
    team: str | None,
    parent: str | None,
    queue: str | None,
    worker: str | None,
    job: str | None,
    since: datetime | None,
    until: datetime | None,
    text: str | None,
    sort: str | None,
    skip: int,
    limit: int,
) -> None:
    """List runs, newest first.

    \b
    kubiya execution list --status failed --since 2h
    kubiya execution list --queue-id=my-queue --text 'git log' --sort=-completed_at
    """
    found = ask(
        lambda cp: cp.executions.list(
            status=Status(status) if status else None,
            agent=agent,
            team=team,
            parent=parent,
            queue=queue,
            worker=worker,
            job=job,
            since=since,
            until=until,
            text=text,
            sort=sort,
            skip=skip,
            limit=limit,
        )
    )
    show_list(found, output, HEADS, row, none="No executions.")


@group.command()
@click.argument("execution_id")
@output_option
def get(execution_id: str, output: Format) -> None:
    """Show one run: its state, what it waits for, its answer."""
    show(ask(lambda cp: cp.executions.get(execution_id)), output, _text)


@group.command()
@click.argument("execution_id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option("-v", "--verbose", is_flag=True, help="Whole tool outputs, and the model's reasoning.")
@click.option("--stream-format", type=click.Choice(["text", "json"]), default="text", help="json: one event a line.")
def logs(execution_id: str, follow: bool, verbose: bool, stream_format: str) -> None:
    """Show what happened in a run, from its beginning."""
    renderer: Renderer = JsonLines() if stream_format == "json" else TextRenderer(screen(), verbose=verbose, past=True)
    ask(lambda cp: _show_log(cp, execution_id, renderer, follow))


@group.command()
@click.argument("execution_id")
def cancel(execution_id: str) -> None:
    """Stop a run: its tool, its model call, everything."""
    ask(lambda cp: cp.executions.cancel(execution_id))
    talk.say(f"Cancelling {execution_id}.")


@group.command()
@click.argument("execution_id")
def pause(execution_id: str) -> None:
    """Begin no further step until it is resumed."""
    ask(lambda cp: cp.executions.pause(execution_id))
    talk.say(f"Pausing {execution_id}.")


@group.command()
@click.argument("execution_id")
def resume(execution_id: str) -> None:
    """Go on with a paused run."""
    ask(lambda cp: cp.executions.resume(execution_id))
    talk.say(f"Resuming {execution_id}.")


@group.command()
@click.argument("execution_id")
@click.argument("words", nargs=-1, required=True)
def message(execution_id: str, words: tuple[str, ...]) -> None:
    """Send a follow-up to a run that waits for input."""
    text = " ".join(words)
    if not text.strip():
        raise click.UsageError("The message is empty.")
    ask(lambda cp: cp.executions.message(execution_id, text))
    talk.say(f"Sent to {execution_id}.")


@group.command()
@click.argument("execution_id")
@click.argument("approval_id")
@click.option("--reason", help="Why; the model reads it.")
def approve(execution_id: str, approval_id: str, reason: str | None) -> None:
    """Agree to a tool call that waits for a person."""
    answer = ApprovalAnswer(decision="approved", reason=reason)
    ask(lambda cp: cp.executions.answer(execution_id, approval_id, answer))
    talk.say("Approved.")


@group.command()
@click.argument("execution_id")
@click.argument("approval_id")
@click.option("--reason", help="Why; the model reads it.")
def deny(execution_id: str, approval_id: str, reason: str | None) -> None:
    """Refuse a tool call that waits for a person."""
    answer = ApprovalAnswer(decision="denied", reason=reason)
    ask(lambda cp: cp.executions.answer(execution_id, approval_id, answer))
    talk.say("Denied.")


async def _show_log(cp: ControlPlaneClient, execution_id: str, renderer: Renderer, follow: bool) -> None:
    try:
        await following.show(cp, execution_id, renderer, past_only=not follow)
    finally:
        renderer.close()


def row(execution: Execution) -> tuple[object, ...]:
    prompt = one_line(execution.prompt, 60)
    return (execution.id, execution.status, _who(execution), age(execution.created_at), prompt)


def _who(execution: Execution) -> str:
    """The agent; the team; or a member, with its team."""
    name = execution.entity_name or execution.entity_id
    if execution.is_delegated:
        return f"{execution.team_name}/{name}"
    return f"team {name}" if execution.execution_type == "team" else name


def _text(execution: Execution) -> str:
    ended, began = execution.completed_at, execution.started_at
    return details(
        (
            ("ID", execution.id),
            ("Status", execution.status),
            ("Waits for", execution.status_reason if not execution.status.is_terminal else None),
            (execution.execution_type.capitalize(), execution.entity_name or execution.entity_id),
            ("Part of", execution.parent_execution_id),
            ("Model", execution.model),
            ("Priority", None if execution.priority is None else named(execution.priority)),
            ("Queue", execution.worker_queue_id),
            ("Worker", execution.worker_id),
            ("Created", execution.created_at.isoformat()),
            ("Took", duration((ended - began).total_seconds()) if ended and began else None),
            ("Tokens", execution.usage.total_tokens or None),
            ("Cost", f"${execution.usage.cost_usd:.4f}" if execution.usage.cost_usd else None),
            ("Reason", execution.failure_reason),
            ("Error", execution.error_message),
            ("Prompt", execution.prompt),
            ("Response", execution.response),
        )
    )
