"""The web interface of a home: one process, kept by whoever keeps a worker, found by everybody.

Two lock files carry it, as they do the embedded control plane:

- `console.lock`, held alone by the one web interface of the home. Who wants one now and then tries to take it, and
  starts one when it can; the new process inherits the lock.
- `users.lock`, held together by everybody who wants one. The web interface tries to take it alone, and ends when it
  can: after its last user, even if that one was killed.
"""

import asyncio
import contextlib
import html
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from kubiya_workers.contracts.wire import Timestamp, Wire
from kubiya_workers.observability import logs
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.console import ConsoleSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting, Source

from . import signin
from . import state as files
from .guard import is_running
from .locks import FileLock
from .spec import LocalWorker
from .upkeep.restarts import HEALTHY_S, wait_before

log = logs.get(__name__)

_LOOK_S = 1.0
_POLL_S = 0.05
_NEEDED = ("fastapi", "uvicorn", "httptools")


class ConsoleState(Wire):
    """A running web interface. `secret` makes the tokens that let a browser in; `process_start` tells a reused pid.

    One that ends takes it away. What is left of one that was killed lets its successor go on where it was: at its port,
    which was that or one near `wanted_port`, and knowing the browsers that it had let in.
    """

    pid: int
    process_start: str
    url: str
    secret: str
    version: str
    started_at: Timestamp
    wanted_port: int | None = None
    sessions: tuple[str, ...] = ()
    """Digests of the cookies of those browsers: no cookie can be made of them."""


@dataclass(frozen=True)
class ConsoleWish:
    """What a web interface is started with. `url` and `key` are those of the control plane that it shows."""

    paths: Paths
    source: Source
    url: str
    key: str = field(repr=False)
    embedded: bool
    """It is the one of this home, which may come back at another address."""


def status(paths: Paths) -> ConsoleState | None:
    """The running web interface of this home; None when there is none."""
    state = _said(paths)
    return state if state is not None and is_running(state.pid, state.process_start) else None


def left(paths: Paths) -> ConsoleState | None:
    """What is left of one that was killed or crashed; None where the last one ended by itself, or runs."""
    state = _said(paths)
    return state if state is not None and not is_running(state.pid, state.process_start) else None


def _said(paths: Paths) -> ConsoleState | None:
    try:
        return ConsoleState.model_validate_json(paths.console_state.read_bytes())
    except (OSError, ValidationError):
        return None


def address(state: ConsoleState) -> str:
    """An address that lets one browser in, once."""
    return f"{state.url}/?token={signin.make(state.secret, time.time())}"


def opener(paths: Paths, address: str) -> Path:
    """A page of the user's own that leads to an address: what a browser is started with, all users of a machine see.

    Raises:
        BadSetting: the home cannot be written.
    """
    file = paths.console / "open.html"
    page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={html.escape(address)}">\n'
    try:
        files.make_private(paths.console)
        files.replace(file, page)
    except OSError as error:
        raise files.unwritable(file, error) from error
    return file


def missing() -> str | None:
    """Why there can be none on this Python; None when there can."""
    names = [name for name in _NEEDED if find_spec(name) is None]
    return f"not installed: {', '.join(names)}; pip install 'kubiya-workers[server]'" if names else None


async def up(paths: Paths, within: float) -> ConsoleState | None:
    """The web interface that runs, or begins to within so many seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while (state := status(paths)) is None and loop.time() < deadline:  # noqa: ASYNC110 - another process
        await asyncio.sleep(_POLL_S)
    return state


@asynccontextmanager
async def beside(paths: Paths, source: Source, spec: LocalWorker) -> AsyncGenerator[None]:
    """What whoever keeps a worker does for the web interface, unless it is turned off."""
    if not ConsoleSettings.of(source).on:
        yield
        return
    running = files.read(paths)
    embedded = running is not None and running.url == spec.url
    async with kept(ConsoleWish(paths, source, spec.url, spec.key, embedded)):
        yield


@asynccontextmanager
async def kept(wish: ConsoleWish) -> AsyncGenerator[None]:
    """A web interface runs for as long as the context lasts; nobody waits for it, and its failure is only logged."""
    why = missing()
    if why is not None:
        log.info("Web interface is not started", reason=why)
        yield
        return
    task = asyncio.create_task(_Keeping(wish).forever(), name="web-interface")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Keeping:
    """Looks after the web interface of the home, together with others who do the same."""

    def __init__(self, wish: ConsoleWish) -> None:
        self._wish = wish
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._crashes = 0
        self._not_before = 0.0

    async def forever(self) -> None:
        try:
            files.make_private(self._wish.paths.console)
            users = FileLock.at(self._wish.paths.console_users)
        except OSError as error:
            log.warning("Web interface is not started", reason=error.strerror)
            return
        try:
            while not users.together():  # noqa: ASYNC110 - one that is just ending holds it alone until it is gone
                await asyncio.sleep(_POLL_S)
            while True:
                self._look()
                await asyncio.sleep(_LOOK_S)
        finally:
            users.close()

    def _look(self) -> None:
        now = time.monotonic()
        if self._process is not None and (ended := self._process.poll()) is not None:
            self._process = None
            self._crashes = 1 if now - self._began >= HEALTHY_S else self._crashes + 1
            wait = wait_before(self._crashes, random.random())
            self._not_before = now + wait
            log.warning("Web interface ended: it is started again", status=ended, restart_in=f"{wait:.1f}s")
        if self._process is not None or now < self._not_before:
            return
        lock = FileLock.at(self._wish.paths.console_lock)
        try:
            if lock.exclusively():
                self._began, self._process = now, _spawn(self._wish, lock)
        except (OSError, BadSetting) as error:
            self._not_before = now + wait_before(10, 0.0)
            log.warning("Web interface is not started", reason=str(error))
        finally:
            lock.close()


def _spawn(wish: ConsoleWish, lock: FileLock) -> subprocess.Popen[bytes]:
    output = files.open_log(wish.paths.console_log)
    try:
        return subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "kubiya_workers.console"),
                *("--lock-fd", str(lock.descriptor), "--control-plane", wish.url),
                *(("--embedded",) if wish.embedded else ()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=os.sep,
            env={**wish.source.environ, v.HOME.name: str(wish.paths.home), v.API_KEY.name: wish.key},
            pass_fds=(lock.descriptor,),
            start_new_session=True,
        )
    finally:
        os.close(output)


def say_up(paths: Paths, state: ConsoleState) -> None:
    """Others find it from here on. Raises OSError when the disk does not take it."""
    files.replace(paths.console_state, state.model_dump_json())


def clear(paths: Paths) -> None:
    with contextlib.suppress(OSError):
        paths.console_state.unlink(missing_ok=True)
