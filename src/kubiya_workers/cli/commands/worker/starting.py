"""`kubiya worker start`: in this terminal, or in the background."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from kubiya_workers.contracts.pool import Mode, Record
from kubiya_workers.launchers import environment as environments
from kubiya_workers.launchers import server
from kubiya_workers.launchers.litellm import install
from kubiya_workers.launchers.spec import LocalWorker
from kubiya_workers.launchers.upkeep import daemon
from kubiya_workers.launchers.upkeep.rotation import LogLimits
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.console import ConsoleSettings
from kubiya_workers.settings.quantities import size
from kubiya_workers.settings.source import Source
from kubiya_workers.settings.worker import WorkerSettings

from ... import talk
from ...connect import Reached, reach, settings
from ...exit import Exit, Failed
from ...output import Format, details, output_option, show
from ...proxying import chosen, of_queue
from ...render.neutral import neutral
from ...running import run
from . import containing, in_docker
from .containing import Asked, container_options
from .web import say_address, web_interface, web_options
from .words import quantity, quantity_of, queue_option

_LOG = LogLimits()
_SIZE = size(4096, 1024**4)


class _Command(click.Command):
    """Forgives words of nothing but blanks: a comment after a line's backslash leaves one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [word for word in args if word.strip() or not word])


@dataclass(frozen=True)
class Wish:
    """A worker that somebody wants."""

    queue: str
    mode: Mode
    limits: LogLimits
    cwd: Path
    single: bool
    env: Mapping[str, str]
    proxy_config: Path | None = None
    ask_queue: bool = False
    """Nobody here has said where its model calls go: the queue may."""


@click.command(cls=_Command)
@queue_option
@click.option("--type", "type_", type=click.Choice(["local", "docker"]), default="local", help="How it runs.")
@click.option("--daemon", "-d", "in_background", is_flag=True, help="In the background, kept by a supervisor.")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="The same in other words.")
@click.option(
    "--max-log-size",
    callback=quantity_of(_SIZE),
    help=f"Bytes after which the log is rotated (104857600, 100Mi).  [default: {_LOG.max_size}]",
)
@click.option(
    "--max-log-backups",
    type=click.IntRange(0, 1000),
    default=_LOG.max_backups,
    show_default=True,
    help="How many rotated logs are kept.",
)
@click.option("--environment", help="The environment that a new queue is made in.")
@click.option("--model", help="The model for every call on this worker, whatever the agents say.")
@click.option("--skip-model-validation", is_flag=True, help="Do not ask first whether the gateway has the model.")
@click.option("--cwd", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Where its tools work.")
@click.option("--single-execution", is_flag=True, help="Take one execution, then end with its result.")
@click.option("--idle-timeout", callback=quantity(v.IDLE_TIMEOUT), help="End when idle for this long (90s, 10m).")
@click.option("--max-tasks", callback=quantity(v.MAX_TASKS), help="End after so many model and tool calls.")
@click.option("--max-uptime", callback=quantity(v.MAX_UPTIME), help="End after this long (12h, 7d).")
@click.option("--health-addr", help="host:port of its health and metrics over HTTP; port 0 is any free one.")
@click.option("--enable-local-proxy", is_flag=True, help="Run a LiteLLM beside the worker, for its model calls.")
@click.option("--proxy-config-file", type=click.Path(path_type=Path), help="Its configuration: YAML or JSON.")
@click.option("--proxy-config-json", help="The same, as text.")
@web_options
@container_options
@output_option
def start(
    queue: str,
    type_: str,
    in_background: bool,
    mode: str | None,
    max_log_size: int | None,
    max_log_backups: int,
    environment: str | None,
    model: str | None,
    skip_model_validation: bool,
    cwd: Path | None,
    single_execution: bool,
    idle_timeout: int | None,
    max_tasks: int | None,
    max_uptime: int | None,
    health_addr: str | None,
    web: Mapping[v.AnyVariable, object],
    container: Asked,
    output: Format,
    **proxy: Any,
) -> int:
    """Start a worker for a queue; a queue of an unknown name is made.

    In the foreground its log goes to the terminal and to ~/.kubiya/workers/QUEUE/logs/worker.log. Ctrl-C or SIGTERM
    lets it finish or hand back what it does; a second one ends it now.

    In the background (-d) a supervisor, or Docker for a container, starts it again when it crashes, and the command
    returns when it polls its queue, or with the reason why it does not. One that runs already is left as it is.

    \b
    kubiya worker start --queue-id=my-queue --type=local
    kubiya worker start --queue-id=my-queue --type=local -d --max-log-size=100Mi
    kubiya worker start --queue my-queue --mode daemon --model kubiya/offline
    kubiya worker start --queue-id=my-queue --type=docker -d
    """
    container.check(type_, cwd)
    known = settings()
    gateway = chosen(known, queue, **proxy)
    given: dict[v.AnyVariable, object] = {
        v.ENVIRONMENT_NAME: environment,
        v.MODEL: model or (None if known.model else gateway.model or known.context_model),
        v.SKIP_MODEL_VALIDATION: True if skip_model_validation else None,
        v.IDLE_TIMEOUT: idle_timeout,
        v.MAX_TASKS: max_tasks,
        v.MAX_UPTIME: max_uptime,
        v.HEALTH_ADDR: health_addr,
        **web,
    }
    wish = Wish(
        queue=queue,
        mode=_mode(mode, in_background),
        limits=LogLimits(max_log_size or _LOG.max_size, max_log_backups),
        cwd=(cwd or Path()).resolve(),
        single=single_execution or Source.of_process().get(v.SINGLE_EXECUTION),
        env={variable.name: str(value) for variable, value in given.items() if value is not None},
        proxy_config=gateway.config,
        ask_queue=gateway.ask_queue,
    )
    check(wish)
    return (_in_docker if type_ == "docker" else _as_process)(known, wish, container, output)


def _as_process(known: ClientSettings, wish: Wish, _: Asked, output: Format) -> int:
    in_docker.make_way(known.paths, wish.queue)
    if wish.mode is Mode.FOREGROUND:
        return run(_in_the_foreground(known, wish))
    return _shown(*run(in_the_background(known, wish)), output)


def _in_docker(known: ClientSettings, wish: Wish, container: Asked, output: Format) -> int:
    if wish.mode is Mode.FOREGROUND:
        return run(containing.in_the_foreground(known, wish, container, _echo))
    try:
        ref, record, new = run(containing.in_the_background(known, wish, container))
    except daemon.NotStarted as error:
        raise _not_started(wish.queue, error) from None
    show(record, output, lambda shown: containing.started(ref, shown, new))
    return Exit.DONE


def _mode(mode: str | None, in_background: bool) -> Mode:
    if in_background and mode == Mode.FOREGROUND:
        raise click.UsageError("--daemon and --mode foreground contradict each other.")
    return Mode.DAEMON if in_background else Mode(mode or Mode.FOREGROUND)


def check(wish: Wish) -> None:
    """That the worker's settings are right: it would only say so later.

    Raises:
        BadSetting: one of them cannot be used.
    """
    source = Source.of_process().with_(wish.env)
    stand_in = {v.CONTROL_PLANE_URL.name: "http://127.0.0.1", v.API_KEY.name: "-"}
    WorkerSettings.of(replace(source, environ={**stand_in, **source.environ}), queue=wish.queue)
    ConsoleSettings.of(source)


async def in_the_background(known: ClientSettings, wish: Wish) -> tuple[Record, bool]:
    """A supervised worker that polls, and whether it is a new one.

    Raises:
        Failed: it ended before it polled; with its own status and reason. And what `daemon.start` raises.
    """
    python = await environments.prepare(known.paths, wish.queue, progress=talk.note)
    if known.url is None:
        # It stays, as the worker does.
        await server.start_daemon(known, progress=talk.note)
    async with reach(known) as reached:
        wish = await _with_proxy(known, wish, reached)
        spec = _spec(known, wish, reached.url, reached.key, python)
        try:
            found = await daemon.start(known.paths, spec, wish.limits)
            await say_address(known.paths, spec)
            return found
        except daemon.NotStarted as error:
            raise _not_started(wish.queue, error) from None


def _not_started(queue: str, error: daemon.NotStarted) -> Failed:
    return Failed(
        f"the worker of queue {queue} did not start: {error.reason}",
        fix=f"kubiya worker logs --queue-id={queue} --tail=50",
        status=_status(error.status),
    )


async def _in_the_foreground(known: ClientSettings, wish: Wish) -> int:
    """The worker's exit status."""
    # First: requirements that cannot be met must not cost anything else.
    python = await environments.prepare(known.paths, wish.queue, progress=talk.note)
    async with reach(known) as reached:
        wish = await _with_proxy(known, wish, reached)
        spec = _spec(known, wish, reached.url, reached.key, python)
        async with (
            daemon.foreground(known.paths, spec, wish.limits, _echo) as keeper,
            web_interface(known.paths, spec),
        ):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, keeper.restart)
            keeping = asyncio.create_task(keeper.keep(), name="keeper")
            try:
                status = await asyncio.shield(keeping)
            except asyncio.CancelledError:
                # Told to end: it drains, and how that went is this command's own status.
                keeper.stop()
                status = await keeping
    return status if status >= 0 else 128 - status


async def _with_proxy(known: ClientSettings, wish: Wish, reached: Reached) -> Wish:
    """The same, with the LiteLLM that its queue wants beside it, and with what that takes installed.

    Raises:
        BadSetting: the queue's configuration cannot be used on this machine.
    """
    if wish.ask_queue:
        wish = replace(wish, proxy_config=await of_queue(known, reached.client, wish.queue))
    if wish.proxy_config is not None:
        await install.prepare(known.paths, progress=talk.note)
        if wish.mode is Mode.DAEMON:
            talk.note("Starting LiteLLM and the worker")
    return wish


def _spec(known: ClientSettings, wish: Wish, url: str, key: str, python: Path) -> LocalWorker:
    return LocalWorker(
        queue=wish.queue,
        url=url,
        key=key,
        cwd=wish.cwd,
        single_execution=wish.single,
        python=python,
        log=known.paths.worker_log(wish.queue),
        env=wish.env,
        proxy_config=wish.proxy_config,
    )


def _echo(lines: bytes) -> None:
    """To the terminal; one that went away must not take the worker with it."""
    try:
        click.echo(neutral(lines.decode(errors="replace").removesuffix("\n")))
    except OSError:
        return


def _status(status: int) -> Exit:
    """The command's own exit status for a worker's: the documented ones mean the same for both."""
    try:
        return Exit(status) if status else Exit.FAILED
    except ValueError:
        return Exit.FAILED


def _shown(record: Record, new: bool, output: Format) -> int:
    show(record, output, lambda shown: _text(shown, new))
    return Exit.DONE


def _text(record: Record, new: bool) -> str:
    queue = record.queue
    began = "Started" if new else "There is already"
    facts = details(
        (
            ("Queue", queue),
            ("Worker", f"{record.worker_id} (PID {record.worker.pid})" if record.worker else record.worker_id),
            ("Supervisor", f"PID {record.supervisor.pid}"),
            ("Log", record.log),
            ("Look", f"kubiya worker status --queue-id={queue}"),
            ("Stop", f"kubiya worker stop --queue-id={queue}"),
        )
    )
    return f"{began} the worker of queue {queue}.\n{facts}"
