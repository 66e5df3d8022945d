"""`kubiya worker stop|restart|clean`."""

import contextlib
from pathlib import Path

import click

from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.pool import Mode, Record
from kubiya_workers.contracts.workers import Action
from kubiya_workers.launchers import environment as environments
from kubiya_workers.launchers.docker import remembered
from kubiya_workers.launchers.upkeep import daemon, leavings, records
from kubiya_workers.launchers.upkeep.rotation import LogLimits
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.quantities import show_size

from ... import talk
from ...connect import settings
from ...exit import Exit
from ...output import Format, output_option, show, show_plain
from ...proxying import Gateway, chosen, is_of_queue
from ...running import run
from ..words import confirm
from . import in_docker, in_kubernetes
from .asking import asked, worker_argument
from .starting import Wish, check, in_the_background
from .words import queue_option

_TIMEOUT_S = 30.0
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(0, 86_400),
    default=_TIMEOUT_S,
    show_default=True,
    help="Seconds to drain in; what is left then is killed, and goes on elsewhere.",
)


@click.command()
@queue_option
@_timeout
@output_option
def stop(queue: str, timeout: float, output: Format) -> int:
    """Stop the worker of a queue on this machine.

    It takes nothing more, finishes or hands back what it does, and ends, and its supervisor with it. Stopping one
    that does not run is no failure.
    """
    paths = settings().paths
    ended = run(_end(paths, queue, timeout))
    if not ended:
        in_kubernetes.refuse(paths, queue, "scale --replicas=0")
    said = f"The worker of queue {queue} has stopped." if ended else f"No worker of queue {queue} was running."
    show_plain({"queue": queue, "stopped": ended}, output, said)
    return Exit.DONE


async def _end(paths: Paths, queue: str, timeout: float) -> bool:
    """Stop the queue's worker, in a container or not; whether one ran."""
    if await in_docker.stop(paths, queue, timeout):
        return True
    return await daemon.stop(paths, queue, timeout) is not None


@click.command()
@worker_argument
@queue_option
@_timeout
@output_option
def restart(worker_id: str | None, queue: str, timeout: float, output: Format) -> int:
    """Stop the worker of a queue on this machine, and start it in the background.

    With WORKER_ID, that worker, on any machine, by whoever keeps it there: it drains, and is started as it was.

    It keeps the flags that it was started with, and takes its variables from the environment of this command. Its
    packages are installed first: when that fails, the running worker is not touched. One in a container keeps that,
    and its variables.
    """
    if worker_id:
        return asked(worker_id, Action.RESTART, output)
    known = settings()
    if remembered.read(known.paths, queue) is not None:
        show(
            in_docker.restart(known.paths, queue, timeout), output, lambda _: f"The worker of queue {queue} runs again."
        )
        return Exit.DONE
    if records.read(known.paths, queue) is None:
        in_kubernetes.refuse(known.paths, queue, "rollout restart")
    wish = _same_again(known, queue)
    check(wish)

    async def again() -> Record:
        await environments.prepare(known.paths, queue, progress=talk.note)
        await daemon.stop(known.paths, queue, timeout)
        record, _ = await in_the_background(known, wish)
        return record

    record = run(again())
    show(record, output, lambda shown: f"The worker of queue {queue} runs again (PID {_pid(shown)}).")
    return Exit.DONE


def _same_again(known: ClientSettings, queue: str) -> Wish:
    record = records.read(known.paths, queue)
    asked = record.started_with if record else None
    proxy = Path(asked.proxy_config) if asked and asked.proxy_config else None
    gateway = chosen(known, queue) if proxy is None or is_of_queue(proxy) else Gateway(proxy)
    if asked is None:
        cwd, limits, env = Path().resolve(), LogLimits(), dict[str, str]()
        return Wish(queue, Mode.DAEMON, limits, cwd, False, env, gateway.config, gateway.ask_queue)
    limits = LogLimits(asked.max_log_size, asked.max_log_backups)
    cwd = Path(asked.cwd) if Path(asked.cwd).is_dir() else Path().resolve()
    return Wish(queue, Mode.DAEMON, limits, cwd, False, asked.flags, gateway.config, gateway.ask_queue)


def _pid(record: Record) -> int | str:
    return record.worker.pid if record.worker else "-"


@click.command()
@queue_option
@click.option("--force", is_flag=True, help="Stop the worker first, if it runs, and do not ask.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@output_option
def clean(queue: str, force: bool, yes: bool, output: Format) -> int:
    """Remove what the worker of a queue left on this machine: its packages, log and requirements.

    Refused while it runs. A link is removed, and never what it leads to.
    """
    paths = settings().paths
    state = in_docker.state_of(paths, queue) or _state(daemon.settle(paths, queue))
    if state is not None and not force:
        raise Conflict(
            f"the worker of queue {queue} is {state}",
            fix=f"kubiya worker stop --queue-id={queue}, or --force to do that first",
        )
    found = leavings.of(paths, queue)
    if not found:
        show_plain({"queue": queue, "removed": []}, output, f"Nothing is left of a worker of queue {queue}.")
        return Exit.DONE
    container = remembered.read(paths, queue)
    if container is not None:
        talk.say(f"           the container {container.name}")
    for left in found:
        talk.say(f"  {show_size(left.size):>8}  {left.path}")
    confirm(f"Remove what the worker of queue {queue} left?", yes=yes or force)
    with contextlib.ExitStack() as stack:
        if force:
            run(_end(paths, queue, _TIMEOUT_S))
        stack.enter_context(daemon.held(paths, queue))
        in_docker.remove(paths, queue)
        leavings.remove(found)
    total = show_size(sum(left.size for left in found))
    removed = [str(left.path) for left in found]
    show_plain({"queue": queue, "removed": removed}, output, f"Removed {total} of queue {queue}.")
    return Exit.DONE


def _state(record: Record | None) -> str | None:
    """How a worker is that is not over."""
    return None if record is None or record.state.is_over else record.state
