"""The control plane's process: `python -m kubiya_workers.cli.serve`.

    settings → lock → guard → sockets → embedded Temporal ┐
                           (imports, database meanwhile)  ┴→ engine → services → HTTP → state file → until told to stop

It answers whoever started it with one line on `--report-fd`, its state or why it did not start, and ends in reverse
order on SIGTERM or SIGINT. This file is the process; what it is made of is put together in `composition`.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from kubiya_workers.contracts.errors import Conflict, Refusal, Unavailable
from kubiya_workers.control_plane.engine.embedded import EmbeddedTemporal
from kubiya_workers.launchers import heap, ports, state
from kubiya_workers.launchers.birth import CONFIGURATION
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.launchers.leave import leave
from kubiya_workers.launchers.locks import FileLock
from kubiya_workers.launchers.spec import ConfiguredModels, ServerMode, ServerState, StartReport
from kubiya_workers.observability import logs
from kubiya_workers.observability.redaction import Redactor
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.server import ServerSettings
from kubiya_workers.settings.source import BadSetting, Source

from .lifetime import Entrance, Lifetime, Temporal

_STOP_WITHIN_S = 5.0
_OK, _FAILED, _NETWORK, _CONFIGURATION = 0, 1, 5, 6

log = logs.get(__name__)


@dataclass(frozen=True)
class Start:
    """How this process was started. `exact_port`: the port was asked for, so that no other will do."""

    settings: ServerSettings
    mode: ServerMode
    exact_port: bool
    report_fd: int | None
    lock_fd: int | None


def main(arguments: list[str] | None = None) -> NoReturn:
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # nothing that we or our children write is for other users
    report_fd: int | None = options.report_fd
    try:
        start = _start(options)
        lock = _only_server(start)
    except (BadSetting, Refusal) as error:
        leave(_refused(report_fd, error))
    leave(_run(start, lock))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubiya-server", description="The control plane of this machine.")
    parser.add_argument("--mode", type=ServerMode, choices=list(ServerMode), default=ServerMode.FOREGROUND)
    parser.add_argument("--host", help="the address to listen on; KUBIYA_SERVER_HOST, else 127.0.0.1")
    parser.add_argument("--port", type=int, help="the port; KUBIYA_SERVER_PORT, else 7466 or the next free one")
    parser.add_argument("--llm-config", help="a LiteLLM configuration for the gateway; KUBIYA_LLM_CONFIG")
    parser.add_argument("--tls-cert", help="its certificate; KUBIYA_TLS_CERT, else it serves http")
    parser.add_argument("--tls-key", help="that certificate's key; KUBIYA_TLS_KEY")
    parser.add_argument("--provisioner", help="what starts workers on demand; KUBIYA_PROVISIONER")
    parser.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--lock-fd", type=int, help=argparse.SUPPRESS)
    return parser


def _start(options: argparse.Namespace) -> Start:
    source = Source.of_process()
    settings = ServerSettings.of(
        source,
        host=options.host,
        port=options.port,
        llm_config=options.llm_config,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        provisioner=options.provisioner,
    )
    state.prepare(settings.paths)
    exact = options.port is not None or bool(source.text_of(v.SERVER_PORT.name))
    return Start(settings, options.mode, exact, options.report_fd, options.lock_fd)


def _only_server(start: Start) -> FileLock:
    """The home's server lock, taken: inherited from whoever started us, or our own.

    Raises:
        Conflict: another server of this home runs.
    """
    paths = start.settings.paths
    if start.lock_fd is not None:
        os.set_inheritable(start.lock_fd, False)
        return FileLock(start.lock_fd)
    try:
        lock = FileLock.at(paths.server_lock)
    except OSError as error:
        raise state.unwritable(paths.server_lock, error) from error
    if not lock.exclusively():
        running = state.read(paths)
        where = f" at {running.url} (pid {running.pid})" if running else ""
        raise Conflict(f"a control plane of this home runs already{where}", fix="stop it: kubiya server stop")
    return lock


def _run(start: Start, lock: FileLock) -> int:
    settings = start.settings
    secrets = [settings.accepted_key, settings.temporal.api_key, settings.database_url, *settings.gateway.secrets]
    secrets += settings.traces.secrets
    logs.configure(settings.log_level, settings.log_format, sys.stderr, Redactor([text for text in secrets if text]))
    try:
        _with_fast_loop(_serve(start))
    except (BadSetting, Refusal) as error:
        return _refused(start.report_fd, error)
    except Exception as error:  # Process entry: whatever it is, it becomes a log line, a report and an exit status.
        log.error("Control plane failed", error=error, reason=repr(error))
        _report(start.report_fd, StartReport(code="internal", detail=f"the control plane failed: {error!r}"))
        return _FAILED
    finally:
        lock.close()
    return _OK


def _with_fast_loop(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


async def _serve(start: Start) -> None:
    settings = start.settings
    async with AsyncExitStack() as stack:
        lifetime = stack.enter_context(Lifetime(settings.paths, start.mode))
        guard = stack.enter_context(Guard.start())
        entrance = await stack.enter_async_context(_entrance(settings, start.exact_port))
        temporal = await stack.enter_async_context(_temporal(settings, guard))
        models = await stack.enter_async_context(_models(settings, guard))
        from .composition import control_plane  # loaded while Temporal starts: this is most of our own start

        running = await stack.enter_async_context(control_plane(settings, temporal, models, entrance, guard))
        lifetime.say_up(running.url, running.temporal, running.tls_url)
        stack.callback(state.clear, settings.paths)
        _announce(start, lifetime.state, running.first_key)
        heap.freeze()
        reason = await lifetime.over()
        log.info("Stopping", reason=reason)
        asyncio.get_running_loop().call_later(_STOP_WITHIN_S, _too_late)
    log.info("Stopped")


@asynccontextmanager
async def _entrance(settings: ServerSettings, exact_port: bool) -> AsyncGenerator[Entrance]:
    """Where it listens. With TLS there is a second socket, on loopback: this machine's own commands and workers need
    neither a name that fits the certificate nor its authority.

    Raises:
        BadSetting: a port, an address, the certificate or its key cannot be used.
    """
    async with AsyncExitStack() as stack:
        certificate = None
        if settings.tls is not None:
            from kubiya_workers.launchers.serving.tls import Certificate

            certificate = Certificate(settings.tls)
            stack.callback(asyncio.create_task(certificate.keep(), name="certificate").cancel)
        listener = ports.listen(settings.host, settings.port, exactly=exact_port)
        stack.callback(listener.close)
        local = None
        if certificate is not None:
            local = ports.listen(ports.LOOPBACK, listener.getsockname()[1] + 1, exactly=False)
            stack.callback(local.close)
        yield Entrance(listener, certificate, local)


@asynccontextmanager
async def _temporal(settings: ServerSettings, guard: Guard) -> AsyncGenerator[Temporal, None]:
    """The embedded server, on its way up, unless a Temporal of the user's is configured."""
    if settings.temporal.host is not None:
        yield Temporal(None, None)
        return
    server = EmbeddedTemporal(
        database=settings.paths.temporal_database,
        log_file=settings.paths.temporal_log,
        port=settings.temporal_port,
        guard=guard,
    )
    async with server.starting() as address:
        yield Temporal(address, server.check)


@asynccontextmanager
async def _models(settings: ServerSettings, guard: Guard) -> AsyncGenerator[ConfiguredModels | None]:
    """What is configured for the gateway, with a LiteLLM where one is needed."""
    if settings.gateway.config is None and not settings.gateway.translated:
        yield None
        return
    from kubiya_workers.launchers.litellm import for_gateway  # most control planes need none of it

    config = for_gateway.configured(settings.gateway, Source.of_process().everything)
    if config is None:
        yield None
    elif for_gateway.is_plain(config):
        yield ConfiguredModels(config.content["model_list"], None)
    else:
        async with for_gateway.running(settings.paths, config, guard) as access:
            yield ConfiguredModels(config.content["model_list"], access)


def _announce(start: Start, up: ServerState, first_key: str | None) -> None:
    log.info("Control plane is up", url=up.tls_url or up.url, pid=up.pid, mode=up.mode)
    _report(start.report_fd, StartReport(state=up, first_key=first_key))
    if first_key is not None and start.report_fd is None and sys.stderr.isatty():
        sys.stderr.write(f"\nAdmin key, shown only now (also in {start.settings.paths.credentials}): {first_key}\n\n")


def _too_late() -> None:
    log.error("The clean stop took too long; leaving", limit_s=_STOP_WITHIN_S)
    leave(_OK)  # the guard ends what is left of our children


def _refused(report_fd: int | None, error: BadSetting | Refusal) -> int:
    """Say why there is no server, in the log and to whoever started us; the exit status."""
    detail, fix = (error.detail, error.fix) if isinstance(error, Refusal) else (str(error), None)
    sys.stderr.write(f"Error: {detail}\n" + (f"Fix: {fix}\n" if fix else ""))
    code = error.code if isinstance(error, Refusal) else CONFIGURATION
    _report(report_fd, StartReport(code=code, detail=detail, fix=fix))
    return _NETWORK if isinstance(error, Unavailable) else _CONFIGURATION


def _report(descriptor: int | None, report: StartReport) -> None:
    """Answer whoever started us. They may be gone, or have been answered already."""
    if descriptor is None:
        return
    with suppress(OSError):
        os.write(descriptor, report.model_dump_json().encode() + b"\n")
        os.close(descriptor)


if __name__ == "__main__":
    main()
