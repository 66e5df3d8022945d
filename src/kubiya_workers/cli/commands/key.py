"""`kubiya key`."""

from datetime import UTC, datetime, timedelta

import click

from kubiya_workers.contracts.keys import BudgetPeriod, CreatedKey, ListedKey, NewKey, Scope
from kubiya_workers.settings.quantities import duration

from .. import talk
from ..ages import age
from ..connect import ask
from ..output import Format, output_option, show, show_list
from .words import made

_HEADS = ("ID", "NAME", "SCOPE", "BEGINS WITH", "QUEUE", "AGE", "LAST USED", "EXPIRES", "BUDGET", "REVOKED")
_LIFETIME = duration(1, 3_650 * 86_400)


def _expiry(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """A time from now as a moment."""
    if value is None:
        return None
    try:
        return datetime.now(UTC) + timedelta(seconds=_LIFETIME(value))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not {error}.") from None


@click.group("key")
def group() -> None:
    """Keys to the control plane. A key is shown once, when it is made."""


@group.command("list")
@output_option
def list_(output: Format) -> None:
    """List keys; never the keys themselves."""
    show_list(ask(lambda cp: cp.keys.list()), output, _HEADS, _row, none="No keys.")


@group.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.CLIENT.value,
    show_default=True,
    help="admin: everything; client: all but keys and what workers are asked; read: look; worker: register workers.",
)
@click.option("--queue", metavar="ID", help="The one queue whose workers it registers, by id or name; scope worker.")
@click.option("--expires", metavar="TIME", callback=_expiry, help="When it ends by itself, from now: 12h, 90d.")
@click.option("--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="What its runs may cost.")
@click.option(
    "--per", type=click.Choice([period.value for period in BudgetPeriod]), help="Of --max-cost.  [default: month]"
)
@output_option
def create(
    output: Format,
    name: str,
    scope: str,
    queue: str | None,
    expires: datetime | None,
    max_cost: float | None,
    per: str | None,
) -> None:
    """Make a key. It is printed now and never again.

    \b
    export KUBIYA_API_KEY=$(kubiya key create laptop)
    kubiya key create ci --max-cost 5 --per day
    kubiya key create build-host --scope worker --queue builds --expires 90d
    """
    bounds = {"queue_id": queue, "expires_at": expires, "max_cost_usd": max_cost, "budget_period": per}
    new = made(NewKey, name=name, scope=scope, **bounds)
    created = ask(lambda cp: cp.keys.create(new))
    show(created, output, _only_the_key)
    if output is Format.TEXT:
        talk.note("Keep it: it is not shown again.")


@group.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke a key at once."""
    ask(lambda cp: cp.keys.revoke(key_id))
    talk.say(f"Revoked key {key_id}.")


def _row(key: ListedKey) -> tuple[object, ...]:
    ends = None if key.expires_at is None else key.expires_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    used = "never" if key.last_used_at is None else f"{age(key.last_used_at)} ago"
    told = (key.id, key.name, key.scope, key.prefix, key.queue_id, age(key.created_at), used, ends, _budget(key))
    return (*told, key.revoked_at is not None)


def _budget(key: ListedKey) -> str | None:
    if key.max_cost_usd is None:
        return None
    return f"${key.spent_usd or 0:.4f} of ${key.max_cost_usd:g} ({key.budget_period or BudgetPeriod.MONTH})"


def _only_the_key(created: CreatedKey) -> str:
    return created.key
