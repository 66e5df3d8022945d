"""A LiteLLM that is kept running for as long as its owner wants it.

    starting → ready → (it crashes) → starting …            ready → (too much memory) → its successor is ready → drained
ready → (a person stops it) → stopping → stopped → (a person starts it) → starting …

The owner holds the listening socket. Calls that come while there is no process wait in its queue, and a successor
takes over from one that still finishes its own. While it is stopped its owner answers in its place, and refuses.
"""

import asyncio
import json
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from kubiya_workers.contracts.console import ProxyRecord, ProxyState
from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.pool import ProcessRef
from kubiya_workers.observability import logs, redaction
from kubiya_workers.observability.redaction import Redactor
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.server import COMPATIBLE, THROUGH_LITELLM
from kubiya_workers.settings.source import Source

from .. import pipes, ports, probe
from ..guard import Guard, end_group, start_time
from ..spec import ModelAccess
from ..upkeep.restarts import HEALTHY_S, wait_before
from ..upkeep.rotation import LogLimits, RotatingLog
from . import standing
from .config import ProxyConfig
from .refusing import STOPPED, refusing

log = logs.get(__name__)

READY_WITHIN_S = 90.0
DRAIN_S = 600.0
"""How long a process that is replaced may finish what it has."""
STOP_S = 10.0
MEMORY_CEILING = 1536 * 1024**2
_TOLD_EVERY_S = 5.0
_LOOK_S = 5.0
_WISH_S = 0.5
_LOG = LogLimits(max_size=16 * 1024**2, max_backups=3)
_RUNNER = Path(__file__).with_name("runner.py")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Seat:
    """Where a proxy sits: its Python, its configuration, a directory for what is written for it, and its log."""

    python: Path
    config: ProxyConfig
    directory: Path
    log: Path
    guard: Guard
    memory_ceiling: int = MEMORY_CEILING
    """Bytes above which it is replaced."""


class _Process:
    """One LiteLLM."""

    def __init__(
        self, process: asyncio.subprocess.Process, ready: int, said: pipes.Pipe, output: RotatingLog, redactor: Redactor
    ) -> None:
        self._process = process
        self._start = start_time(process.pid)
        self._ready = ready
        self._last: list[str] = []
        self._said = said
        self._forwarding = asyncio.create_task(self._forward(output, redactor), name="litellm-output")
        self.began = time.monotonic()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ref(self) -> ProcessRef:
        return ProcessRef(pid=self.pid, start=self._start)

    @property
    def last_words(self) -> str:
        return " / ".join(self._last[-3:])

    async def said_ready(self) -> bool:
        """Whether it has started; False when it ended before."""
        return bool(await pipes.first_line(self._ready, READY_WITHIN_S))

    async def wait(self) -> int:
        status = await self._process.wait()
        await asyncio.wait({self._forwarding}, timeout=1.0)
        self._forwarding.cancel()
        self._said.close()
        return status

    async def end(self, within: float) -> None:
        await end_group(self.pid, within, start=self._start)
        await self.wait()

    def memory(self) -> int:
        """Resident bytes; 0 when it has just ended."""
        try:
            return psutil.Process(self.pid).memory_info().rss
        except psutil.Error:
            return 0

    async def _forward(self, output: RotatingLog, redactor: Redactor) -> None:
        async for lines in pipes.whole_lines(self._said.reader):
            text = redactor.text(lines.decode(errors="replace"))
            self._last = [*self._last, *(line for line in text.splitlines() if line.strip())][-3:]
            output.write(text.encode())


class LiteLLM:
    """Used through `running`."""

    def __init__(self, seat: Seat, listening: socket.socket, output: RotatingLog) -> None:
        environ = Source.of_process().everything
        key = seat.config.master_key(environ) or f"sk-{secrets.token_urlsafe(32)}"
        host, port = listening.getsockname()[:2]
        self.access = ModelAccess(
            f"http://{host}:{port}/v1", key, seat.config.default_model, hidden=seat.config.references()
        )
        self._seat = seat
        self._listening = listening
        self._output = output
        self._hidden = [key, *seat.config.secrets(environ)]
        self._redactor = Redactor(self._hidden)
        self._environment = _environment(environ, seat.config, seat.config.written(seat.directory), key)
        self._process: _Process | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self.restarts = 0
        self._record = ProxyRecord(
            owner=ProcessRef(pid=os.getpid(), start=start_time(os.getpid())),
            state="starting",
            url=f"http://{host}:{port}",
            models=seat.config.shown(),
        )

    async def start(self, progress: Progress) -> None:
        """Return when it answers.

        Raises:
            Unavailable: it ended, or took longer than READY_WITHIN_S; with its own last words.
        """
        telling = asyncio.create_task(_tell(progress))
        self._say("starting")
        try:
            self._process = await self._another()
        except Unavailable as error:
            self._say("failed", error.detail)
            raise
        finally:
            telling.cancel()

    async def keep(self) -> None:
        """Keep one running, except for as long as a person wants none."""
        while True:
            keeping = asyncio.create_task(self._keep_running(), name="litellm-running")
            wish = asyncio.create_task(self._until_wanted(stopped=True))
            try:
                await asyncio.wait({keeping, wish}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (keeping, wish):
                    task.cancel()
                await asyncio.gather(keeping, wish, return_exceptions=True)
            if not keeping.cancelled():
                keeping.result()  # what broke it
            await self._stand_stopped()

    async def close(self) -> None:
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        if self._process is not None:
            await self._process.end(STOP_S)
        standing.forget(self._seat.directory)

    async def _keep_running(self) -> None:
        """Start it when there is none or it ends, and replace it when it has grown too large."""
        crashes, wait = 0, 0.0
        while True:
            if self._process is None:
                await self._again(crashes, wait)
            process = self._process
            assert process is not None  # it has just been started
            ended = await self._until_over(process)
            if ended is None:
                await self._replace(process)
                continue
            self._seat.guard.release(process.pid)
            self._process = None
            crashes = 1 if time.monotonic() - process.began >= HEALTHY_S else crashes + 1
            wait = wait_before(crashes, random.random())
            log.error("LiteLLM ended: it is started again", status=ended, restart_in=f"{wait:.1f}s", crashes=crashes)
            self.restarts += 1
            self._say("starting", f"it ended with status {ended}: {process.last_words}")

    async def _again(self, crashes: int, wait: float) -> None:
        while self._process is None:
            await asyncio.sleep(wait)
            try:
                self._process = await self._another()
            except Unavailable as error:
                crashes += 1
                self.restarts += 1
                wait = wait_before(crashes, random.random())
                log.error("LiteLLM did not start again", reason=error.detail, restart_in=f"{wait:.1f}s")
                self._say("failed", error.detail)
            else:
                log.info("LiteLLM answers again", pid=self._process.pid)

    async def _stand_stopped(self) -> None:
        """End it, and refuse in its place, until a person wants it again. What it has may take STOP_S to end."""
        process, self._process = self._process, None
        log.warning("LiteLLM is stopped by a person", pid=process.pid if process else None)
        self._say("stopping", STOPPED, process=process.ref if process else None)
        async with refusing(self._listening):
            if process is not None:
                await process.end(STOP_S)
                self._seat.guard.release(process.pid)
            self._say("stopped", STOPPED)
            await self._until_wanted(stopped=False)
        log.info("LiteLLM is started by a person")
        self._say("starting")

    async def _until_wanted(self, *, stopped: bool) -> None:
        while standing.is_to_stop(self._seat.directory) is not stopped:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(_WISH_S)

    async def _until_over(self, process: _Process) -> int | None:
        """Its exit status once it has ended; None when it has grown too large."""
        ends = asyncio.create_task(process.wait())
        try:
            while not (await asyncio.wait({ends}, timeout=_LOOK_S))[0]:
                if process.memory() > self._seat.memory_ceiling:
                    return None
        finally:
            if not ends.done():
                ends.cancel()
        return ends.result()

    async def _replace(self, old: _Process) -> None:
        log.warning("LiteLLM has grown too large: it is replaced", memory_mb=old.memory() // 1024**2)
        try:
            self._process = await self._another()
        except Unavailable as error:
            log.error("LiteLLM was not replaced", reason=error.detail)
            return
        task = asyncio.create_task(old.end(DRAIN_S), name="litellm-retired")
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _another(self) -> _Process:
        process = await self._spawn()
        self._seat.guard.adopt(process.pid, grace=STOP_S)
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                if not await process.said_ready():
                    status = await process.wait()
                    raise Unavailable(f"LiteLLM ended with status {status}: {process.last_words}", fix=self._look())
                await self._answers()
        except TimeoutError:
            await process.end(0.0)
            raise Unavailable(f"LiteLLM did not start within {READY_WITHIN_S:.0f} s", fix=self._look()) from None
        except BaseException:
            await asyncio.shield(process.end(0.0))
            raise
        self._say("running", process=process.ref, started_at=datetime.now(UTC))
        return process

    def _say(self, state: ProxyState, reason: str | None = None, **changes: object) -> None:
        """Tell how it is to who looks; that it cannot be told is no reason to end."""
        process = None if state in ("starting", "stopped") else self._record.process
        fresh = {"process": process, **changes, "state": state, "reason": reason, "restarts": self.restarts}
        self._record = self._record.model_copy(update=fresh)
        with suppress(OSError):
            standing.say(self._seat.directory, self._record)

    async def _answers(self) -> None:
        root = self.access.url.removesuffix("/v1")
        while await probe.status_of(root, "/health/liveliness") != 200:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.05)

    async def _spawn(self) -> _Process:
        with pipes.opened() as (ready, tells), pipes.opened() as (said, prints):
            process = await asyncio.create_subprocess_exec(
                str(self._seat.python),
                *("-I", str(_RUNNER), str(self._listening.fileno()), str(tells), str(redaction.__file__)),
                stdin=asyncio.subprocess.PIPE,
                stdout=prints,
                stderr=asyncio.subprocess.STDOUT,
                cwd=os.sep,
                env=self._environment,
                pass_fds=(tells, self._listening.fileno()),
                start_new_session=True,
            )
        assert process.stdin is not None  # it was started with a pipe
        process.stdin.write(json.dumps(self._hidden).encode())
        process.stdin.close()
        return _Process(process, ready, await pipes.read(said), self._output, self._redactor)

    def _look(self) -> str:
        return f"see {self._seat.log}"


@asynccontextmanager
async def running(seat: Seat, progress: Progress) -> AsyncGenerator[LiteLLM]:
    """A LiteLLM that answers, kept so for as long as the context lasts.

    Raises:
        Unavailable: it does not start; with its own last words.
        BadSetting: its files cannot be written.
    """
    standing.forget(seat.directory)  # what was wanted of one that was kept before
    listening = ports.listen(ports.LOOPBACK, 0, exactly=True)
    output = RotatingLog(seat.log, _LOG, on_gap=_tell_of_gap)
    keeping: asyncio.Task[None] | None = None
    proxy = LiteLLM(seat, listening, output)
    try:
        await proxy.start(progress)
        log.info("LiteLLM answers", url=proxy.access.url)
        keeping = asyncio.create_task(proxy.keep(), name="litellm")
        yield proxy
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await proxy.close()
        listening.close()
        output.close()


def _environment(environ: Mapping[str, str], config: ProxyConfig, file: Path, key: str) -> dict[str, str]:
    """The user's, for the providers' own variables, without ours: a DATABASE_URL would be taken for LiteLLM's."""
    withheld = ({variable.name for variable in v.ALL} | _NOT_ITS_OWN) - _SHARED - config.references()
    kept = {name: value for name, value in environ.items() if name not in withheld}
    return kept | {
        "CONFIG_FILE_PATH": str(file),
        "LITELLM_MASTER_KEY": key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "DISABLE_ADMIN_UI": "True",
        "NO_DOCS": "True",
        "PYTHONUNBUFFERED": "1",
    }


_PROXIES = (v.HTTP_PROXY, v.HTTPS_PROXY, v.ALL_PROXY, v.NO_PROXY)
_PROVIDERS = (
    *(v.OPENAI_API_KEY, v.OPENAI_BASE_URL, v.OLLAMA_HOST),
    *(key for key, _, _ in COMPATIBLE),
    *(variable for _, needed in THROUGH_LITELLM for variable in needed),
)
_SHARED = {variable.name for variable in (*_PROXIES, *_PROVIDERS)}
_NOT_ITS_OWN = frozenset({"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "WORKER_CONFIG"})


async def _tell(progress: Progress) -> None:
    """Say now and then that it is still on its way: it takes several seconds."""
    began = time.monotonic()
    progress("Starting LiteLLM")
    while True:
        await asyncio.sleep(_TOLD_EVERY_S)
        progress(f"Starting LiteLLM ({time.monotonic() - began:.0f} s)")


def _tell_of_gap(count: int, reason: str) -> None:
    log.warning("Lines of LiteLLM's log are missing", count=count, reason=reason)
