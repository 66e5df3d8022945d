"""What is asked of a worker on any machine, by its id: the control plane keeps it until the worker hears."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.workers import Action, AskedOf, Worker

from ... import talk
from ...connect import ask
from ...exit import Exit
from ...output import Format, output_option, show

F = TypeVar("F", bound=Callable[..., Any])

_HEARD_WITHIN_S = 75.0
"""One that listens hears at once, any other in two heartbeats and a bit, where they are as far apart as usual."""
_LOOK_S = 0.5


def worker_argument(command: F) -> F:
    """`[WORKER_ID]`, given to the command as `worker_id`: instead of a queue of this machine."""
    return click.argument("worker_id", required=False, is_eager=True)(command)


@click.command()
@click.argument("worker_id")
@click.option("--note", help="Why, for whoever looks.")
@output_option
def drain(worker_id: str, note: str | None, output: Format) -> int:
    """Let a worker on any machine end: it finishes or hands back what it does, and is not started again.

    Needs a key of scope admin. The worker of a queue of this machine is ended with kubiya worker stop.
    """
    return asked(worker_id, Action.DRAIN, output, note=note)


def asked(
    worker_id: str, action: Action, output: Format, *, note: str | None = None, until: datetime | None = None
) -> int:
    """Ask it, and wait until it has heard, or for two of its heartbeats.

    Raises:
        NotFound: no such worker.
        Conflict: it is gone, cannot be asked this now, or says that it cannot do it.
    """
    worker = ask(lambda client: _heard(client, worker_id, action, AskedOf(note=note, until=until)))
    wish = worker.wish
    if wish is not None and wish.refused is not None:
        raise Conflict(f"worker {worker_id} cannot {action}: {wish.refused}")
    show(worker, output, _text)
    return Exit.DONE


async def _heard(client: ControlPlaneClient, worker_id: str, action: Action, wanted: AskedOf) -> Worker:
    worker = await client.workers.ask(worker_id, action, wanted)
    wish, deadline = worker.wish, time.monotonic() + _HEARD_WITHIN_S
    talk.note(f"Asked worker {worker_id} to {action}; it hears of it within moments")
    while _is_open(worker, wish.id if wish else None) and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_S)
        worker = await client.workers.get(worker_id)
    return worker


def _is_open(worker: Worker, wish_id: str | None) -> bool:
    wish = worker.wish
    return wish is not None and wish.id == wish_id and wish.heard_at is None and worker.status.is_live


def _text(worker: Worker) -> str:
    wish, name = worker.wish, f"The worker of queue {worker.queue_name} on {worker.hostname or worker.id}"
    if wish is None or wish.heard_at is None:
        gone = f": it is {worker.status}" if not worker.status.is_live else "; it will when it says next that it lives"
        return f"{name} has not heard yet{gone}."
    return f"{name} has heard that it is to {wish.action}; it was last seen {worker.status}."
