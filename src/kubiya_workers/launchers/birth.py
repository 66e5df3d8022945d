"""The start of a server process in the background, up to the moment when it serves or has said why it does not."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from kubiya_workers.contracts.errors import REFUSALS, Refusal, Unavailable
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.source import BadSetting, Source

from . import pipes
from . import state as files
from .guard import end_group
from .locks import FileLock
from .spec import ServerMode, StartReport

CONFIGURATION = "configuration"
"""The code of a report whose reason is a setting."""
STARTED = "started"

_UP_WITHIN_S = 150.0


async def give_birth(
    settings: ClientSettings, mode: ServerMode, lock: FileLock, words: Sequence[str] = ()
) -> StartReport:
    """Start the server of this home, told `words`.

    `lock` is the home's server lock, taken: the new process inherits it.

    Raises:
        BadSetting, Refusal: what the server reported, or, when it died without a word, the end of its log.
    """
    log = files.open_log(settings.paths.server_log)
    try:
        since = os.fstat(log).st_size
        report = await _run(settings, mode, lock, log, words)
    finally:
        os.close(log)
    if report is None:
        words = files.last_lines(settings.paths.server_log, since)
        raise Unavailable(
            f"the control plane ended while it started: {words or 'without a word'}",
            fix=f"see {settings.paths.server_log}",
        )
    if report.state is None:
        raise _raised(report)
    return report.model_copy(update={"code": STARTED})


async def _run(
    settings: ClientSettings, mode: ServerMode, lock: FileLock, log: int, words: Sequence[str]
) -> StartReport | None:
    command = [sys.executable, "-P", "-m", "kubiya_workers.cli.serve", "--mode", mode, *words]
    with pipes.opened() as (reading, writing):
        process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's own would end its child with the event loop
            [*command, "--report-fd", str(writing), "--lock-fd", str(lock.descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=os.sep,
            env=_environment(settings),
            pass_fds=(writing, lock.descriptor),
            start_new_session=True,
        )
    try:
        report = await _report(reading)
    except BaseException:
        await asyncio.shield(end_group(process.pid, 2.0))
        process.wait()
        raise
    if report is None or report.state is None:
        await asyncio.to_thread(process.wait)
    else:
        # It may live on without us; should it end before us, it is reaped.
        threading.Thread(target=process.wait, name="reap-server", daemon=True).start()
    return report


async def _report(descriptor: int) -> StartReport | None:
    """The one line of the server; None when it ended without it."""
    try:
        line = await pipes.first_line(descriptor, _UP_WITHIN_S)
    except TimeoutError:
        raise Unavailable(f"the control plane did not start within {_UP_WITHIN_S:.0f} s") from None
    with suppress(ValidationError):
        return StartReport.model_validate_json(line)
    return None


def _raised(report: StartReport) -> Refusal | BadSetting:
    if report.code == CONFIGURATION:
        return BadSetting(report.detail)
    kinds = {kind.code: kind for kind in REFUSALS.values()}
    return kinds.get(report.code, Unavailable)(report.detail, fix=report.fix)


def _environment(settings: ClientSettings) -> dict[str, str]:
    environment = {**Source.of_process().environ, v.HOME.name: str(settings.paths.home)}
    if settings.key:
        environment[v.API_KEY.name] = settings.key
    return environment
