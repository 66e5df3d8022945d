"""The entry of a worker process: settings in, exit status out."""

import argparse
import asyncio
import sys
from typing import NoReturn

from kubiya_workers.client.errors import Unreachable
from kubiya_workers.contracts.errors import Forbidden, Refusal, Unauthorized, Unavailable
from kubiya_workers.launchers.leave import leave
from kubiya_workers.observability import logs
from kubiya_workers.observability.redaction import Redactor
from kubiya_workers.settings.source import BadSetting, Source
from kubiya_workers.settings.worker import WorkerSettings

from . import process
from .ready import Announcer

FAILED, AUTHENTICATION, REFUSED, NETWORK, CONFIGURATION = 1, 3, 4, 5, 6


def main() -> NoReturn:
    arguments = argparse.ArgumentParser(prog="worker.py", description="A worker that serves one queue.")
    arguments.add_argument("--queue-id", help="the queue to serve; QUEUE_ID when it is not given")
    queue = arguments.parse_args().queue_id
    try:
        settings = WorkerSettings.of(Source.of_process(), queue=queue)
    except BadSetting as error:
        sys.stderr.write(f"Error: {error}\n")
        leave(CONFIGURATION)
    redactor = Redactor([secret for secret in (settings.key, settings.gateway_key) if secret])
    logs.configure(settings.log_level, settings.log_format, sys.stdout, redactor, fallback=settings.log_file)
    leave(_run(settings))


def _run(settings: WorkerSettings) -> int:
    log = logs.get(__name__)
    try:
        return asyncio.run(process.run(settings, at_once=leave, on_ready=Announcer(settings.ready_fd)))
    except BadSetting as error:
        log.error("Worker cannot start", reason=str(error))
        return CONFIGURATION
    except Refusal as error:
        log.error("Worker ended", reason=error.detail, fix=error.fix)
        return _status(error)
    except Exception as error:  # Process entry: whatever it is, it becomes a log line and an exit status.
        log.error("Worker failed", error=error, reason=repr(error))
        return FAILED


def _status(error: Refusal) -> int:
    match error:
        case Unauthorized() | Forbidden():
            return AUTHENTICATION
        case Unreachable() | Unavailable():
            return NETWORK
        case _:
            return REFUSED


if __name__ == "__main__":
    main()
