"""`kubiya key`."""

import click

from kubiya_workers.contracts.keys import CreatedKey, Key, NewKey, Scope

from .. import talk
from ..ages import age
from ..connect import ask
from ..output import Format, output_option, show, show_list
from .words import made

_HEADS = ("ID", "NAME", "SCOPE", "BEGINS WITH", "AGE", "REVOKED")


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
    help="admin: everything; client: everything but keys; worker: register workers.",
)
@output_option
def create(output: Format, name: str, scope: str) -> None:
    """Make a key. It is printed now and never again.

    \b
    export KUBIYA_API_KEY=$(kubiya key create laptop)
    """
    new = made(NewKey, name=name, scope=scope)
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


def _row(key: Key) -> tuple[object, ...]:
    return (key.id, key.name, key.scope, key.prefix, age(key.created_at), key.revoked_at is not None)


def _only_the_key(created: CreatedKey) -> str:
    return created.key
