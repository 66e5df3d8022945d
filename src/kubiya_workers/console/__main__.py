"""The console's process: `python -m kubiya_workers.console`, started by whoever keeps a worker.

settings → lock → socket → HTTP → state file → until nobody wants it any more, or it is told to stop
"""

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import urlsplit

from kubiya_workers import __version__
from kubiya_workers.contracts.errors import Conflict, Refusal
from kubiya_workers.launchers import console, heap, ports, state
from kubiya_workers.launchers.guard import start_time
from kubiya_workers.launchers.leave import leave
from kubiya_workers.launchers.locks import FileLock
from kubiya_workers.launchers.serving.server import Door, address, served
from kubiya_workers.observability import logs
from kubiya_workers.observability.redaction import Redactor
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.console import ConsoleSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting, Source

from .app import build
from .contact import ControlPlane
from .door import Names, Sessions
from .forward import Forward
from .live import LiveView
from .logs import Logs
from .pages import Pages
from .parts import Parts
from .pool import Pool, ThisMachine
from .target import Target

_LOOK_S = 0.5
_FAILED, _CONFIGURATION = 1, 6

log = logs.get(__name__)


@dataclass(frozen=True)
class Start:
    """How this process was started."""

    source: Source
    paths: Paths
    settings: ConsoleSettings
    target: Target


def main(arguments: list[str] | None = None) -> NoReturn:
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # nothing that we write is for other users
    try:
        source = Source.of_process()
        paths = Paths.of(source)
        target = Target(paths, options.control_plane, source.get(v.API_KEY), options.embedded)
        start = Start(source, paths, ConsoleSettings.of(source), target)
        lock = _only_one(paths, options.lock_fd)
        level = "DEBUG" if source.get(v.KUBIYA_DEBUG) else source.get(v.LOG_LEVEL)
        logs.configure(level, source.get(v.LOG_FORMAT), sys.stderr, Redactor([target.key] if target.key else []))
        asyncio.run(_serve(start))
    except (BadSetting, Refusal) as error:
        sys.stderr.write(f"Error: {error}\n")
        leave(_CONFIGURATION)
    except Exception as error:  # Process entry: whatever it is, it becomes a log line and an exit status.
        log.error("Web interface failed", error=error, reason=repr(error))
        leave(_FAILED)
    lock.close()
    leave(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="console", description="The web interface of this machine's workers.")
    parser.add_argument("--control-plane", required=True, help="the address of the control plane that is shown")
    parser.add_argument("--embedded", action="store_true", help="it is the one of this home, wherever that is")
    parser.add_argument("--lock-fd", type=int, help=argparse.SUPPRESS)
    return parser


def _only_one(paths: Paths, inherited: int | None) -> FileLock:
    """The home's lock, taken: inherited from whoever started us, or our own.

    Raises:
        Conflict: another web interface of this home runs.
    """
    if inherited is not None:
        os.set_inheritable(inherited, False)
        return FileLock(inherited)
    state.make_private(paths.console)
    lock = FileLock.at(paths.console_lock)
    if not lock.exclusively():
        raise Conflict("a web interface of this home runs already", fix="kubiya ui")
    return lock


async def _serve(start: Start) -> None:
    async with AsyncExitStack() as stack:
        left = console.left(start.paths)
        listener = _listen(start.settings, left)
        stack.callback(listener.close)
        said = _Said(start.paths, _state(start, listener, left))
        parts = _parts(start, listener, said)
        for close in (parts.plane.close, parts.forward.close, parts.pool.close):
            stack.push_async_callback(close)
        works = [
            asyncio.create_task(work)
            for work in (parts.live.contacts.forever(), parts.live.forever(), parts.live.ask_forever())
        ]
        for work in works:
            stack.callback(work.cancel)
        over = asyncio.create_task(_until_over(start.paths), name="over")
        await stack.enter_async_context(served(build(parts), Door(listener), before_stop=parts.live.close))
        console.say_up(start.paths, said.state)
        stack.callback(console.clear, start.paths)
        log.info("Web interface is up", url=said.state.url, pid=os.getpid(), control_plane=start.target.url)
        heap.freeze()
        for ended in (await asyncio.wait({over, *works}, return_when=asyncio.FIRST_COMPLETED))[0]:
            ended.result()  # of the works only what broke them: whoever keeps us starts another
        log.info("Stopping", reason=await over)


def _listen(settings: ConsoleSettings, left: console.ConsoleState | None) -> socket.socket:
    """A socket where pages that are open expect us: where a predecessor that was killed was, if that is still wanted.

    Raises:
        BadSetting: the address is not one of this machine's.
    """
    if left is not None and left.wanted_port == settings.port and (port := urlsplit(left.url).port):
        with suppress(BadSetting):  # somebody else has it by now
            return ports.listen(settings.host, port, exactly=True)
    return ports.listen(settings.host, settings.port, exactly=False)


class _Said:
    """What we say of ourselves, kept current as browsers come in."""

    def __init__(self, paths: Paths, state: console.ConsoleState) -> None:
        self._paths = paths
        self.state = state

    def let_in(self, sessions: tuple[str, ...]) -> None:
        self.state = self.state.model_copy(update={"sessions": sessions})
        try:
            console.say_up(self._paths, self.state)
        except OSError as error:
            log.warning("Who was let in will not be known after a crash", reason=error.strerror)


def _parts(start: Start, listener: socket.socket, said: _Said) -> Parts:
    plane, over = ControlPlane(start.target), asyncio.Event()
    # Cookies do not know ports: each web interface of this machine has a name of its own.
    cookie = f"kubiya_{listener.getsockname()[1]}"
    return Parts(
        paths=start.paths,
        names=Names(start.settings.allowed_hosts, (start.settings.host.lower(),)),
        sessions=Sessions(said.state.secret, cookie=cookie, known=said.state.sessions, on_change=said.let_in),
        plane=plane,
        forward=Forward(start.target),
        live=LiveView(ThisMachine(start.paths), plane, over),
        pool=Pool(start.paths),
        pages=Pages(),
        logs=Logs(start.paths, over),
    )


def _state(start: Start, listener: socket.socket, left: console.ConsoleState | None) -> console.ConsoleState:
    """Tokens of a predecessor are no longer good, since nobody knows which of them were used."""
    return console.ConsoleState(
        pid=os.getpid(),
        process_start=start_time(os.getpid()),
        url=address(start.settings.host, listener),
        secret=secrets.token_urlsafe(32),
        version=__version__,
        started_at=datetime.now(UTC),
        wanted_port=start.settings.port,
        sessions=left.sessions if left is not None else (),
    )


async def _until_over(paths: Paths) -> str:
    """Wait for the end, and say why it came: a signal, or nobody holds the users' lock any more.

    The lock is then ours until we are gone, so that a new user waits.
    """
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_signal(number: int) -> None:
        if told.done():
            leave(128 + number)
        told.set_result(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    users = FileLock.at(paths.console_users)
    while not told.done():
        if users.exclusively():
            return "no worker is kept any more"
        await asyncio.wait({told}, timeout=_LOOK_S)
    return told.result()


if __name__ == "__main__":
    main()
