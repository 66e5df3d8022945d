"""What the commands of workers have in common: which queue is meant, and how times and sizes are typed."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source, Variable

from ..words import queue_name

F = TypeVar("F", bound=Callable[..., Any])


def queue_option(command: F) -> F:
    """`--queue-id/--queue`, given to the command as `queue`; QUEUE_ID without it."""
    return click.option(
        "--queue-id",
        "--queue",
        "queue",
        callback=_queue,
        shell_complete=_known,
        help="The queue; QUEUE_ID without it.",
    )(command)


def quantity(variable: Variable[int]) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """A flag that is typed as the variable is."""
    return quantity_of(variable.parse)


def quantity_of(parse: Callable[[str], int]) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    def parsed(_: click.Context, __: click.Parameter, word: str | None) -> int | None:
        try:
            return None if word is None else parse(word.strip())
        except ValueError as error:
            raise click.BadParameter(f"{word!r} is not valid: it must be {error}.") from None

    return parsed


def _queue(context: click.Context, parameter: click.Parameter, word: str | None) -> str:
    if context.params.get("worker_id"):
        if word:
            raise click.UsageError("Name a worker by its id, or the queue of this machine's, not both.")
        return ""
    queue = word or Source.of_process().get(v.QUEUE_ID)
    if not queue:
        raise click.UsageError("Say which queue: --queue-id NAME.")
    checked = queue_name(context, parameter, queue)
    assert checked is not None
    return checked


def _known(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Queues that have, or had, a worker on this machine."""
    try:
        names = [entry.name for entry in os.scandir(Paths.of(Source.of_process()).workers)]
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(begun) and is_safe_name(name))
