"""`kubiya worker pause|resume`: a wish on the disk, which the worker looks at each second."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from kubiya_workers.contracts.pool import Pause, WorkerReport
from kubiya_workers.contracts.workers import Action
from kubiya_workers.launchers.docker import remembered
from kubiya_workers.launchers.upkeep import pauses, records
from kubiya_workers.launchers.upkeep.asking import report_of
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.quantities import duration

from ...connect import settings
from ...exit import Exit
from ...output import Format, output_option, show_plain
from ...running import run
from . import in_docker
from .asking import asked, worker_argument
from .words import quantity_of, queue_option

_HEARD_WITHIN_S = 10.0
_LOOK_S = 0.1
_TIME = duration(1, 365 * 86_400)


@click.command()
@worker_argument
@queue_option
@click.option("--note", help="Why, for whoever looks.")
@click.option("--for", "time_", callback=quantity_of(_TIME), help="Resume by itself after this long (30m, 12h).")
@output_option
def pause(worker_id: str | None, queue: str, note: str | None, time_: int | None, output: Format) -> int:
    """Let the worker of a queue of this machine finish what it has, and take nothing more.

    It stays so until it is resumed, through restarts too. What is submitted meanwhile waits. With WORKER_ID, that
    worker, on any machine: it hears of it within moments.

    \b
    kubiya worker pause --queue-id=my-queue --note="moving the database" --for=30m
    """
    paths, now = settings().paths, datetime.now(UTC)
    if worker_id:
        until = now + timedelta(seconds=time_) if time_ else None
        return asked(worker_id, Action.PAUSE, output, note=note, until=until)
    if remembered.read(paths, queue) is not None:
        words = [*([f"--note={note}"] if note else []), *([f"--for={time_}"] if time_ else [])]
        return in_docker.passed_on(paths, queue, "pause", [*words, f"--output={output}"])
    wish = Pause(note=note, since=now, until=now + timedelta(seconds=time_) if time_ else None)
    pauses.write(paths, queue, wish)
    heard = run(_heard(paths, queue, lambda said: said.pause is not None))
    said = f"The worker of queue {queue} is paused"
    if heard is None:
        said = f"The worker of queue {queue} does not run here; it will be paused when it is started"
    elif not heard.pause:
        said = f"The worker of queue {queue} has not answered yet; it will pause as soon as it can"
    elif heard.activities.used:
        said += f", and finishes {heard.activities.used} running calls"
    show_plain({"queue": queue, "paused": wish.model_dump(mode="json")}, output, f"{said}.")
    return Exit.DONE


@click.command()
@worker_argument
@queue_option
@output_option
def resume(worker_id: str | None, queue: str, output: Format) -> int:
    """Let a paused worker take work again; one that is not paused is left as it is.

    The worker of a queue of this machine, or one on any machine by WORKER_ID.
    """
    if worker_id:
        return asked(worker_id, Action.RESUME, output)
    paths = settings().paths
    if remembered.read(paths, queue) is not None:
        return in_docker.passed_on(paths, queue, "resume", [f"--output={output}"])
    was = pauses.remove(paths, queue)
    said = f"No worker of queue {queue} was paused."
    if was:
        said = _resumed(queue, run(_heard(paths, queue, lambda said: said.taking)))
    show_plain({"queue": queue, "resumed": was}, output, said)
    return Exit.DONE


def _resumed(queue: str, heard: WorkerReport | None) -> str:
    """In words, and no more than is so: another reason may keep it from its work."""
    if heard is None:
        return f"The pause of queue {queue} is over; its worker does not run here."
    if heard.taking:
        return f"The worker of queue {queue} takes work again."
    return f"The pause of queue {queue} is over; its worker takes no work yet: {heard.reason}."


async def _heard(paths: Paths, queue: str, has_heard: Callable[[WorkerReport], bool]) -> WorkerReport | None:
    """What the worker says once it has heard of it, or after a while; None when there is none."""
    deadline = time.monotonic() + _HEARD_WITHIN_S
    while True:
        record = records.read(paths, queue)
        said = await report_of(record)
        if said is None or has_heard(said) or time.monotonic() > deadline:
            return said
        await asyncio.sleep(_LOOK_S)
