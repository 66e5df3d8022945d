"""Children that cannot outlive their owner, not even when it is killed without a chance to say goodbye.

Every owner of processes (a worker, a control plane, the command line) keeps one `Guard`: a tiny process in a session
of its own, which holds the read end of a pipe whose only write end is the owner's. When the owner is gone, however it
went, the pipe ends, and the guard ends what the owner had adopted.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from kubiya_workers.settings.inherited import harmless
from kubiya_workers.settings.source import Source

from .guardian import GIVE_UP_S, Adopted, is_running, members, send, start_time, terminate

__all__ = ["Guard", "end_group", "end_process", "is_running", "members", "start_time"]

_SCRIPT = Path(__file__).with_name("guardian.py")
_POLL_S = 0.01


class Guard:
    """The guard of this process. Safe to use from several threads.

    Adopt a child as soon as it is started, and start it in a session of its own (`start_new_session=True`): what is
    ended is its whole group.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._adopted: dict[int, Adopted] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls) -> "Guard":
        """A guard whose process is running. Nothing needs to be waited for: the pipe keeps what it has not read."""
        guard = cls()
        guard._process = _spawn()
        return guard

    @property
    def pid(self) -> int | None:
        """The guard's own process; None once closed."""
        return self._process.pid if self._process else None

    def adopt(self, pid: int, *, grace: float) -> None:
        """End the group led by `pid` when this process dies: SIGTERM, then SIGKILL after `grace` seconds."""
        with self._lock:
            group = self._adopted[pid] = Adopted(pid, start_time(pid), grace)
            self._write(group.line())

    def release(self, pid: int) -> None:
        """Forget a group: it has ended, or may now live on."""
        with self._lock:
            if self._adopted.pop(pid, None):
                self._write(f"release {pid}\n".encode())

    def close(self) -> None:
        """End the guard and whatever is still adopted; returns when that is done."""
        with self._lock:
            process, self._process = self._process, None
            left = max((group.grace for group in self._adopted.values()), default=0.0)
            self._adopted.clear()
        if process is None:
            return
        _pipe(process).close()
        try:
            process.wait(left + 2 * GIVE_UP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        if self._process is None:
            return
        try:
            _pipe(self._process).write(line)
        except BrokenPipeError:
            self._replace(self._process)

    def _replace(self, dead: subprocess.Popen[bytes]) -> None:
        """Somebody killed the guard: start another, which adopts all that the dead one had."""
        dead.wait()
        with contextlib.suppress(BrokenPipeError):
            _pipe(dead).close()
        self._process = _spawn()
        for group in self._adopted.values():
            _pipe(self._process).write(group.line())


async def end_group(pid: int, grace: float, *, start: str | None = None) -> None:
    """End the group that `pid` leads or led: SIGTERM, up to `grace` seconds, SIGKILL; returns when none is left.

    `start` is the leader's `start_time`, for callers that may come after the leader was reaped. The leader itself is
    reaped by whoever started it (asyncio does so by itself). When this call is cancelled, the group is killed at once.
    """
    begun = start_time(pid) if start is None else start
    if not terminate(pid, begun):
        return
    try:
        if not await _vanished(pid, begun, grace):
            send(pid, begun, signal.SIGKILL)
            await _vanished(pid, begun, GIVE_UP_S)
    except asyncio.CancelledError:
        send(pid, begun, signal.SIGKILL)
        raise


async def end_process(pid: int, grace: float, *, start: str) -> None:
    """End the one process `pid` that began at `start`, as `end_group` ends a group: it leads none."""
    loop = asyncio.get_running_loop()
    for number, limit in ((signal.SIGTERM, grace), (signal.SIGKILL, GIVE_UP_S)):
        deadline = loop.time() + limit
        if is_running(pid, start):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while is_running(pid, start):
            if loop.time() >= deadline:
                break
            await asyncio.sleep(_POLL_S)  # it is not our child: there is no event to wait for


async def _vanished(pid: int, start: str, limit: float) -> bool:
    """Whether the group ended within `limit` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    while members(pid, start):
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)  # the members are mostly not our children: there is no event to wait for
    return True


def _spawn() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.sep,
        env=harmless(Source.of_process().environ),  # it needs nothing of ours, least of all the key
        bufsize=0,
        start_new_session=True,
    )


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None  # it was started with a pipe
    return process.stdin
