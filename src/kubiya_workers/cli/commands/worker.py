"""`kubiya worker`."""

import asyncio
from pathlib import Path

import click

from kubiya_workers.contracts.workers import Worker
from kubiya_workers.launchers import environment as environments
from kubiya_workers.launchers import local
from kubiya_workers.launchers.spec import LocalWorker
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.source import Source

from .. import talk
from ..ages import age
from ..connect import ask, reach, settings
from ..output import Format, output_option, show_list
from ..running import run
from ..worker_log import WorkerLog, path_of
from .paging import paged
from .words import queue_name

_HEADS = ("ID", "QUEUE", "STATUS", "HOST", "PID", "TASKS", "LAST HEARTBEAT", "VERSION")
_DRAIN_S = 60.0


@click.group("worker")
def group() -> None:
    """Start workers, and see those that run.

    \b
    kubiya worker start --queue-id=my-queue --type=local
    kubiya worker list
    """


@group.command()
@click.option("--queue-id", "--queue", "queue", callback=queue_name, help="The queue to serve; made when unknown.")
@click.option("--type", "type_", type=click.Choice(["local", "docker"]), default="local", help="How it runs.")
@click.option("--environment", help="The environment that a new queue is made in.")
@click.option("--model", help="The model for every call on this worker, whatever the agents say.")
@click.option("--cwd", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where its tools work.")
@click.option("--single-execution", is_flag=True, help="Take one execution, then end.")
def start(
    queue: str | None, type_: str, environment: str | None, model: str | None, cwd: Path | None, single_execution: bool
) -> int:
    """Start a worker in the foreground.

    Its log goes to the terminal and to ~/.kubiya/workers/QUEUE/logs/worker.log. Ctrl-C or SIGTERM lets it finish or
    hand back what it does; a second one ends it now.

    \b
    kubiya worker start --queue-id=my-queue --type=local
    kubiya worker start --queue my-queue --model kubiya/offline
    """
    if type_ != "local":
        raise click.UsageError(f"--type {type_} is not available in this version; use --type local.")
    given = {v.ENVIRONMENT_NAME.name: environment, v.MODEL.name: model}
    extra = {name: value for name, value in given.items() if value}
    return run(_serve(settings(), _queue(queue), (cwd or Path()).resolve(), single_execution, extra))


@group.command("list")
@paged
@output_option
def list_(output: Format, skip: int, limit: int) -> None:
    """List workers."""
    show_list(ask(lambda cp: cp.workers.list(skip=skip, limit=limit)), output, _HEADS, _row, none="No workers.")


@group.command()
@click.option("--queue-id", "--queue", "queue", callback=queue_name, help="The queue; QUEUE_ID without it.")
@output_option
def status(queue: str | None, output: Format) -> int:
    """Show the workers of a queue; exit status 1 when none of them is live."""
    named = _queue(queue)
    workers = ask(lambda cp: cp.queues.workers(named))
    show_list(workers, output, _HEADS, _row, none=f"No worker has served {named}.")
    return 0 if any(worker.status.is_live for worker in workers) else 1


def _queue(given: str | None) -> str:
    queue = given or Source.of_process().get(v.QUEUE_ID)
    if not queue:
        raise click.UsageError("Say which queue to serve: --queue-id NAME.")
    checked = queue_name(click.get_current_context(), click.Option(["--queue-id"]), queue)
    assert checked is not None
    return checked


async def _serve(known: ClientSettings, queue: str, cwd: Path, single: bool, env: dict[str, str]) -> int:
    """The worker's exit status."""
    # First: requirements that cannot be met must not cost anything else.
    python = None if single else await environments.prepare(known.paths, queue, progress=talk.note)
    async with reach(known) as reached:
        with WorkerLog(path_of(known.paths, queue)) as log:
            spec = LocalWorker(queue, reached.url, reached.key, cwd, single_execution=single, python=python, env=env)
            async with local.worker(known.paths, spec, log=log.line) as process:
                try:
                    status = await process.wait()
                except asyncio.CancelledError:
                    # Told to end: it drains, and how that went is this command's own status.
                    status = await process.stop(_DRAIN_S)
    return status if status >= 0 else 128 - status


def _row(worker: Worker) -> tuple[object, ...]:
    return (
        worker.id,
        worker.queue_name,
        worker.status,
        worker.hostname,
        worker.pid,
        worker.tasks_processed,
        age(worker.last_heartbeat),
        worker.version,
    )
