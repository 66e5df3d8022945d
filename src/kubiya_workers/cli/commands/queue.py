"""`kubiya queue`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.environments import DEFAULT_ENVIRONMENT
from kubiya_workers.contracts.queues import ENABLE_LOCAL_PROXY, LITELLM_CONFIG, NewQueue, Queue, QueuePatch
from kubiya_workers.contracts.workers import Worker, WorkerStatus

from .. import talk
from ..ages import age
from ..connect import ask
from ..output import Format, details, output_option, show, show_list
from ..proxying import for_queue
from .paging import paged
from .words import confirm, made, queue_name

_HEADS = ("ID", "NAME", "WORKERS", "TROUBLE", "MAX", "EPHEMERAL", "AGE", "DESCRIPTION")


_NO_LITELLM: dict[str, object] = {ENABLE_LOCAL_PROXY: False, LITELLM_CONFIG: None}
_litellm_config = click.option(
    "--litellm-config",
    type=click.Path(path_type=Path),
    help="Its workers run a LiteLLM of this configuration beside them, unless told otherwise where they start.",
)


@click.group("queue")
def group() -> None:
    """Queues that workers poll. A queue is named by its id or its name.

    \b
    kubiya queue create my-queue
    kubiya worker start --queue-id=my-queue --type=local
    """


@group.command("list")
@paged
@output_option
def list_(output: Format, skip: int, limit: int) -> None:
    """List queues, with the workers that are live on them now."""
    show_list(ask(lambda cp: cp.queues.list(skip=skip, limit=limit)), output, _HEADS, _row, none="No queues.")


@group.command()
@click.argument("queue")
@output_option
def get(queue: str, output: Format) -> None:
    """Show one queue."""
    found, workers = ask(lambda cp: _with_workers(cp, queue))
    show(found, output, lambda shown: _text(shown, workers))


@group.command()
@click.argument("name", callback=queue_name)
@click.option("--environment", default=DEFAULT_ENVIRONMENT, show_default=True, help="The environment it belongs to.")
@click.option("--description", help="What it is for.")
@click.option("--max-workers", type=click.IntRange(min=1), help="Refuse more workers than this.")
@click.option("--heartbeat-interval", type=click.IntRange(1, 300), help="Seconds between heartbeats of its workers.")
@_litellm_config
@output_option
def create(
    output: Format,
    name: str,
    environment: str,
    description: str | None,
    max_workers: int | None,
    heartbeat_interval: int | None,
    litellm_config: Path | None,
) -> None:
    """Create a queue."""
    new = made(
        NewQueue,
        name=name,
        description=description,
        max_workers=max_workers,
        heartbeat_interval=heartbeat_interval,
        settings=for_queue(litellm_config) if litellm_config else None,
    )
    show(ask(lambda cp: cp.queues.create(new, environment=environment)), output, _text)


@group.command()
@click.argument("queue")
@click.option("--description", help="What it is for.")
@click.option("--max-workers", type=click.IntRange(min=1), help="Refuse more workers than this.")
@click.option("--heartbeat-interval", type=click.IntRange(1, 300), help="Seconds between heartbeats of its workers.")
@_litellm_config
@click.option("--no-litellm", is_flag=True, help="Its workers call the control plane's gateway again.")
@output_option
def update(queue: str, output: Format, litellm_config: Path | None, no_litellm: bool, **changes: Any) -> None:
    """Change a queue. What is not named stays; workers heed a changed LiteLLM when they are restarted."""
    if litellm_config and no_litellm:
        raise click.UsageError("--litellm-config and --no-litellm contradict each other.")
    given = {name: value for name, value in changes.items() if value is not None}
    litellm = for_queue(litellm_config) if litellm_config else _NO_LITELLM if no_litellm else None
    if not given and litellm is None:
        raise click.UsageError("Say what to change.")

    async def changing(cp: ControlPlaneClient) -> Queue:
        if litellm is not None:
            given["settings"] = {**(await cp.queues.get(queue)).settings, **litellm}
        return await cp.queues.edit(queue, made(QueuePatch, **given))

    show(ask(changing), output, _text)


@group.command()
@click.argument("queue")
@click.option("--force", is_flag=True, help="Even with live workers on it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(queue: str, force: bool, yes: bool) -> None:
    """Delete a queue."""
    confirm(f"Delete queue {queue}?", yes=yes)
    ask(lambda cp: cp.queues.delete(queue, force=force))
    talk.say(f"Deleted queue {queue}.")


def _row(queue: Queue) -> tuple[object, ...]:
    most = queue.max_workers or "-"
    return (
        queue.id,
        queue.name,
        queue.active_workers,
        _trouble(queue),
        most,
        queue.ephemeral,
        age(queue.created_at),
        queue.description,
    )


def _trouble(queue: Queue) -> str:
    """What is wrong with its workers, in a few words: `1 paused, 2 lost`."""
    counts = ((queue.paused_workers, "paused"), (queue.lost_workers, "lost"))
    return ", ".join(f"{n} {what}" for n, what in (*counts, (queue.crash_looping_workers, "crash-looping")) if n) or "-"


async def _with_workers(plane: ControlPlaneClient, name: str) -> tuple[Queue, list[Worker]]:
    queue = await plane.queues.get(name)
    if _trouble(queue) == "-":
        return queue, []
    workers = await plane.queues.workers(queue.id)
    back = {worker.hostname for worker in workers if worker.status.is_live}
    return queue, [worker for worker in workers if worker.status.is_live or worker.hostname not in back]


def _troubled(worker: Worker) -> tuple[str, str] | None:
    """A line on a worker that is not as it should be."""
    match worker.status:
        case WorkerStatus.PAUSED:
            return "Paused", worker.hostname or worker.id
        case WorkerStatus.LOST:
            ago = age(worker.disconnected_at)
            return "Lost", f"{worker.hostname or worker.id}, {ago} ago: {worker.disconnect_reason}"
        case WorkerStatus.CRASH_LOOPING:
            return "Crash-looping", f"{worker.hostname or worker.id}: {worker.disconnect_reason}"
        case _:
            return None


def _text(queue: Queue, workers: Iterable[Worker] = ()) -> str:
    return details(
        (
            ("ID", queue.id),
            ("Name", queue.name),
            ("Description", queue.description),
            ("Environment", queue.environment_id),
            ("Status", queue.status),
            ("Live workers", queue.active_workers),
            ("In trouble", _trouble(queue)),
            *filter(None, map(_troubled, workers)),
            ("Max workers", queue.max_workers),
            ("Heartbeat every", f"{queue.heartbeat_interval}s"),
            ("Ephemeral", queue.ephemeral),
            ("Single execution", queue.single_execution_mode),
            ("Settings", queue.settings),
            ("Created", queue.created_at.isoformat()),
        )
    )
