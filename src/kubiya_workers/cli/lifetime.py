"""How long a control plane process lives: until a signal, or until its last user is gone.

- SIGTERM, SIGINT: stop cleanly; a second one leaves at once
- SIGUSR1: an on-demand server stays, as a daemon
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

import kubiya_workers
from kubiya_workers.contracts.health import Check
from kubiya_workers.launchers import state as files
from kubiya_workers.launchers.guard import start_time
from kubiya_workers.launchers.leave import leave
from kubiya_workers.launchers.locks import FileLock
from kubiya_workers.launchers.spec import ServerMode, ServerState
from kubiya_workers.observability import logs
from kubiya_workers.settings.paths import Paths

if TYPE_CHECKING:
    from kubiya_workers.launchers.serving.tls import Certificate

_LOOK_S = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logs.get(__name__)


@dataclass(frozen=True)
class Temporal:
    """An embedded Temporal on its way up: its address, and how its process is. None of them for a configured one."""

    address: Awaitable[str] | None
    check: Callable[[], Check] | None


@dataclass(frozen=True)
class Entrance:
    """Where requests come in: with a certificate `listener` speaks TLS, and `local`, on loopback, plain HTTP."""

    listener: socket.socket
    certificate: "Certificate | None" = None
    local: socket.socket | None = None


class Lifetime:
    """Knows when this process has to end. Used as a context inside the running loop, where it takes the signals."""

    def __init__(self, paths: Paths, mode: ServerMode) -> None:
        self._paths = paths
        self._mode = mode
        self._reason = ""
        self._over = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._state: ServerState | None = None

    def __enter__(self) -> "Lifetime":
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGUSR1, self._promoted)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        loop = asyncio.get_running_loop()
        for number in (*_SIGNALS, signal.SIGUSR1):
            loop.remove_signal_handler(number)

    @property
    def state(self) -> ServerState:
        assert self._state is not None  # it is asked for only once we are up
        return self._state

    def say_up(self, url: str, temporal: str, tls_url: str) -> None:
        """Write the state file: from here on other processes find us."""
        self._state = ServerState(
            pid=os.getpid(),
            process_start=start_time(os.getpid()),
            url=url,
            version=kubiya_workers.__version__,
            mode=self._mode,
            started_at=datetime.now(UTC),
            temporal=temporal,
            tls_url=tls_url,
        )
        files.write(self._paths, self._state)

    async def over(self) -> str:
        """Wait for the end; why it came, in words."""
        if self._mode is ServerMode.ON_DEMAND:
            self._watch = asyncio.create_task(self._until_unused(), name="users")
        await self._over.wait()
        return self._reason

    async def _until_unused(self) -> None:
        """End when nobody holds the users' lock. It is then ours until we are gone, so that a new user waits."""
        users = FileLock.at(self._paths.server_users)
        while not users.exclusively():  # noqa: ASYNC110 - a lock has no event to wait for
            await asyncio.sleep(_LOOK_S)
        self._end("nobody uses it any more")

    def _promoted(self) -> None:
        if self._mode is not ServerMode.ON_DEMAND:
            return
        self._mode = ServerMode.DAEMON
        if self._watch is not None and not self._over.is_set():
            self._watch.cancel()
        if self._state is not None:
            self._state = self._state.model_copy(update={"mode": ServerMode.DAEMON})
            files.write(self._paths, self._state)

    def _signalled(self, number: int) -> None:
        if self._over.is_set():
            log.warning("Second signal: leaving at once")
            leave(128 + number)
        self._end(signal.Signals(number).name)

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._over.set()
