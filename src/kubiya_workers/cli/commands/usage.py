"""`kubiya usage`."""

from datetime import UTC, datetime, timedelta

import click

from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.usage import UsageBy, UsageSum

from ..connect import ask
from ..output import Format, output_option, show_list

_DAYS = 30
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("usage")
@click.option(
    "--by",
    type=click.Choice([by.value for by in UsageBy]),
    help="What is summed up.  [default: day; step with --execution]",
)
@click.option("--since", type=_DAY, metavar="DATE", help=f"From this day on (UTC).  [default: {_DAYS} days ago]")
@click.option("--until", type=_DAY, metavar="DATE", help="Up to and with this day (UTC).")
@click.option("--execution", metavar="ID", help="Only of this execution.")
@output_option
def command(
    by: str | None, since: datetime | None, until: datetime | None, execution: str | None, output: Format
) -> None:
    """What model calls used: tokens, and their cost in US dollars where prices are known.

    Calls of executions count with their agent, worker and queue, and with the key that submitted them; calls that a
    program makes at the gateway itself count with its key.

    \b
    kubiya usage
    kubiya usage --by model --since 2026-01-01
    kubiya usage --execution ID
    """
    what = UsageBy(by or (UsageBy.STEP if execution else UsageBy.DAY))
    first = since.date() if since else None if execution else datetime.now(UTC).date() - timedelta(days=_DAYS)
    last = until.date() if until else None
    found = ask(lambda cp: cp.usage.by(what, since=first, until=last, execution=execution))
    heads = (what.value.upper(), "CALLS", "INPUT", "CACHED", "OUTPUT", "REASONING", "COST")
    show_list(found, output, heads, _row, none="No model calls.")
    if output is Format.TEXT and len(found) > 1:
        total = UsageSum(name="total", calls=sum(row.calls for row in found), usage=_total(found))
        click.echo("\n" + _in_words(total))


def _row(row: UsageSum) -> tuple[object, ...]:
    used = row.usage
    tokens = (used.input_tokens, used.cached_tokens, used.output_tokens, used.reasoning_tokens)
    return (row.name, row.calls, *(f"{count:,}" for count in tokens), f"${used.cost_usd:.4f}")


def _total(rows: list[UsageSum]) -> Usage:
    return sum((row.usage for row in rows), Usage())


def _in_words(total: UsageSum) -> str:
    return f"{total.calls:,} calls, {total.usage.total_tokens:,} tokens, ${total.usage.cost_usd:.4f}"
