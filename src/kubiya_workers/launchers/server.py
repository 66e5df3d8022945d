"""The embedded control plane of a home: found, started, shared, stopped.

Two lock files carry it, because the kernel drops them whatever happens to their holder:

- `server.lock`, held alone by the one server of the home. Whoever starts a server takes it first and lets the new
  process inherit it: two commands at once end up with one server.
- `users.lock`, held together by every command that needs an on-demand server. The server now and then tries to take
  it alone, and ends when it can: so it ends after its last user, even if that one was killed.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from kubiya_workers.contracts.errors import Unauthorized, Unavailable
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.server import GatewaySettings
from kubiya_workers.settings.source import Source

from . import state as files
from .birth import STARTED, give_birth
from .guard import end_group, end_process
from .locks import FileLock
from .probe import status_of
from .spec import Endpoint, ServerFlags, ServerMode, ServerState, StartReport

__all__ = ["Endpoint", "ServerState", "start_daemon", "status", "stop", "use"]

Progress = Callable[[str], None]

_UP_WITHIN_S = 150.0
_DOWN_WITHIN_S = 10.0
_POLL_S = 0.01


@asynccontextmanager
async def use(settings: ClientSettings, *, start: bool, progress: Progress) -> AsyncGenerator[Endpoint, None]:
    """The control plane of this home, for as long as the context lasts.

    An on-demand server that nobody else uses is stopped, and gone, when the context ends.

    Args:
        start: start an on-demand server when none runs.
        progress: told in words what is waited for.

    Raises:
        Unavailable: none runs and `start` is False, or it does not start; with its own reason.
        BadSetting: the home, the port or another setting cannot be used.
        Unauthorized: there is no key for the running server.
    """
    paths = settings.paths
    if not start and files.read(paths) is None:
        raise Unavailable("no control plane runs on this machine", fix="start one: kubiya server start")
    files.prepare(paths)
    users = await _join(paths)
    report: StartReport | None = None
    try:
        report = await _find_or_start(settings, ServerMode.ON_DEMAND, progress)
        yield await _endpoint(settings, report)
    finally:
        users.release()
        if report is not None:
            await _stop_if_last(paths, users)
        users.close()


async def start_daemon(settings: ClientSettings, *, flags: ServerFlags | None = None, progress: Progress) -> Endpoint:
    """A server that stays; an on-demand one that runs is told to stay. `flags` are what a new process is told.

    Raises:
        Unavailable, BadSetting, Unauthorized: as for `use`.
    """
    paths = settings.paths
    files.prepare(paths)
    users = await _join(paths)
    try:
        report = await _find_or_start(settings, ServerMode.DAEMON, progress, flags=flags)
        if report.state is not None and report.state.mode is ServerMode.ON_DEMAND:
            await _promote(paths, report.state)
        return await _endpoint(settings, report)
    finally:
        users.close()


async def stop(paths: Paths, timeout: float = _DOWN_WITHIN_S) -> bool:
    """Stop the server of this home, and return when it is gone: after `timeout` seconds it is killed.

    Returns whether there was one.
    """
    state = files.read(paths)
    if state is None:
        return False
    try:
        leads = os.getpgid(state.pid) == state.pid
    except ProcessLookupError:
        return True
    # One in the foreground of a script is in the script's group, which is not ours to end.
    await (end_group if leads else end_process)(state.pid, timeout, start=state.process_start)
    return True


def status(paths: Paths) -> ServerState | None:
    """The running server of this home, None when there is none; it is not asked how it is."""
    return files.read(paths)


async def _join(paths: Paths) -> FileLock:
    """Become a user. A server that is just ending holds the lock alone: it is waited for."""
    try:
        users = FileLock.at(paths.server_users)
    except OSError as error:
        raise files.unwritable(paths.server_users, error) from error
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 2 * _DOWN_WITHIN_S
    while not users.together():
        if loop.time() > deadline:
            users.close()
            raise Unavailable("the control plane of this home hangs while it ends", fix="kubiya server stop")
        await asyncio.sleep(_POLL_S)
    return users


async def _find_or_start(
    settings: ClientSettings,
    mode: ServerMode,
    progress: Progress,
    *,
    flags: ServerFlags | None = None,
) -> StartReport:
    """The state of the running server, or of the one that was started; `detail` is set when it was."""
    paths = settings.paths
    lock = FileLock.at(paths.server_lock)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _UP_WITHIN_S
    try:
        while loop.time() < deadline:
            state = files.read(paths)
            if state is not None and await status_of(state.url, "/livez") == 200:
                return StartReport(state=state)
            if lock.exclusively():
                told = flags or ServerFlags()
                await _prepare_models(settings, told, progress)
                progress("Starting the control plane")
                return await give_birth(settings, mode, lock, told.words)
            # Another command starts it, or it is being restarted: its state file says when it is up.
            await asyncio.sleep(_POLL_S)
    finally:
        lock.close()
    raise Unavailable(
        "the control plane of this home runs but does not answer", fix=f"see {paths.server_log}; kubiya server stop"
    )


async def _prepare_models(settings: ClientSettings, flags: ServerFlags, progress: Progress) -> None:
    """What takes long to install is installed here, where somebody can be told of it.

    Raises:
        BadSetting: it cannot be installed, or the models' configuration cannot be used.
    """
    config = str(flags.llm_config) if flags.llm_config else None
    gateway = GatewaySettings.of(Source.of_process(), config=config)
    if gateway.config is None and not gateway.translated:
        return
    from .litellm import for_gateway, install

    if for_gateway.needed(gateway):
        await install.prepare(settings.paths, progress=progress)
        progress("LiteLLM takes several seconds to start")


async def _endpoint(settings: ClientSettings, report: StartReport) -> Endpoint:
    assert report.state is not None  # a start that failed was raised
    started = report.code == STARTED
    key = await _key(settings, report.state.url, started)
    return Endpoint(report.state.url, key, started, report.first_key, report.state.tls_url)


async def _key(settings: ClientSettings, url: str, started: bool) -> str:
    """KUBIYA_API_KEY, which a running server may have to learn first, or the local user's own key."""
    own = _credentials(settings.paths)
    if settings.key is None:
        if own is None:
            raise Unauthorized(
                f"there is no key in {settings.paths.credentials}", fix="set KUBIYA_API_KEY, or restart the server"
            )
        return own
    if not started and await status_of(url, "/api/v1/environments?limit=1", key=settings.key) == 401:
        await _enroll(url, settings.key, own)
    return settings.key


def _credentials(paths: Paths) -> str | None:
    try:
        return paths.credentials.read_text().strip() or None
    except OSError:
        return None


async def _enroll(url: str, key: str, own: str | None) -> None:
    refused = Unauthorized(
        "the running control plane does not know KUBIYA_API_KEY", fix="unset it, or make one: kubiya key create"
    )
    if own is None:
        raise refused
    import httpx  # only here: it costs a tenth of a second

    try:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {own}"}) as client:
            response = await client.post("/api/v1/keys/enroll", json={"key": key})
    except httpx.TransportError as error:
        raise Unavailable(f"the control plane does not answer: {error}") from error
    if not response.is_success:
        raise refused


async def _promote(paths: Paths, state: ServerState) -> None:
    """Tell an on-demand server to stay; it says so in its state file."""
    os.kill(state.pid, signal.SIGUSR1)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DOWN_WITHIN_S
    while (now := files.read(paths)) is None or now.mode is ServerMode.ON_DEMAND:
        if loop.time() > deadline:
            raise Unavailable("the running control plane does not answer", fix="kubiya server stop")
        await asyncio.sleep(_POLL_S)


async def _stop_if_last(paths: Paths, users: FileLock) -> None:
    """Stop an on-demand server without users; one that ends by itself meanwhile is waited for.

    The lock is kept until it is gone, so that a command which begins now waits, and starts one of its own.
    """
    state = files.read(paths)
    if state is None or state.mode is not ServerMode.ON_DEMAND:
        return
    if users.exclusively() or not users.together():
        await end_group(state.pid, _DOWN_WITHIN_S, start=state.process_start)
