"""The entry of a supervisor: a small process of its own that keeps one worker, and outlives the terminal.

It is started by `daemon.start`, which hands it the queue's lock and a pipe for its one line of report; the worker's
key is in its environment. SIGTERM drains the worker and is the end; SIGUSR1 drains it and starts another.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from kubiya_workers.contracts.pool import Mode
from kubiya_workers.observability import logs
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting, Source

from .. import console
from ..spec import LocalWorker
from .daemon import Report
from .keeper import Keeper
from .output import opened
from .rotation import LogLimits

log = logs.get(__name__)

CONFIGURATION = 6


def main() -> int:
    arguments = _arguments()
    source = Source.of_process()
    paths = Paths.of(source)
    spec = LocalWorker(
        queue=arguments.queue_id,
        url=source.get(v.CONTROL_PLANE_URL),
        key=source.get(v.API_KEY),
        cwd=Path.cwd(),
        single_execution=source.get(v.SINGLE_EXECUTION),
        python=arguments.python,
        log=paths.worker_log(arguments.queue_id),
        env=arguments.flags,
        proxy_config=arguments.proxy_config,
    )
    # Ours alone: what we start is to have no part of them, and a handler, unlike ignoring, is not inherited.
    for descriptor in (arguments.report_fd, arguments.lock_fd):
        os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGHUP, _unmoved)
    try:
        return asyncio.run(_keep(source, spec, arguments))
    except BadSetting:
        return CONFIGURATION


async def _keep(source: Source, spec: LocalWorker, arguments: argparse.Namespace) -> int:
    paths, limits = Paths.of(source), LogLimits(arguments.max_log_size, arguments.max_log_backups)
    with opened(paths, spec, limits) as output:
        keeper = Keeper(paths, spec, Mode.DAEMON, output)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, keeper.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, keeper.restart)
        report = asyncio.create_task(_report(keeper, arguments.report_fd), name="report")
        try:
            async with console.beside(paths, source, spec):
                await keeper.keep()
        except Exception as error:  # Process entry: nobody else would hear of it.
            log.error("Supervisor failed", error=error, reason=repr(error))
            return 1
        await report
    return 0


async def _report(keeper: Keeper, descriptor: int) -> None:
    """The one line for whoever started us; they may have given up waiting."""
    record = await keeper.settled()
    line = Report(record=record, status=keeper.status).model_dump_json() + "\n"
    with open(descriptor, "w") as pipe:  # noqa: ASYNC230 - a line fits into the pipe
        try:
            pipe.write(line)
            pipe.flush()
        except BrokenPipeError:
            return


def _unmoved(number: int, frame: object) -> None:
    """The terminal's end is not ours."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="supervisor", description="Keeps the worker of one queue running.")
    parser.add_argument("--queue-id", required=True)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--flags", type=json.loads, required=True)
    parser.add_argument("--proxy-config", type=Path)
    parser.add_argument("--max-log-size", type=int, required=True)
    parser.add_argument("--max-log-backups", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--lock-fd", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
