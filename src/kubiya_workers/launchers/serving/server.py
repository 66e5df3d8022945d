"""An ASGI application on sockets of ours, inside an event loop of ours; signals are the process's business."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

_DRAIN_S = 2
"""Whole seconds that requests get to end by themselves at a stop; then they are cancelled."""


class _Server(uvicorn.Server):
    """Says when it serves, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@dataclass(frozen=True)
class Door:
    """A listening socket, and what is spoken on it: TLS with this context, or plain HTTP."""

    listener: socket.socket
    tls: ssl.SSLContext | None = None


@contextlib.asynccontextmanager
async def served(
    app: ASGIApp, *doors: Door, before_stop: Callable[[], None], websockets: bool = False
) -> AsyncGenerator[None, None]:
    """`app` answers at every door for as long as the context lasts.

    Args:
        before_stop: called when no request is taken any more, to end those that would never end by themselves.
        websockets: the application takes them, too.
    """
    servers = [_Server(_config(app, door.tls, websockets)) for door in doors]
    tasks = [
        asyncio.create_task(server.serve(sockets=[door.listener]), name="http")
        for server, door in zip(servers, doors, strict=True)
    ]
    for server in servers:
        await server.serving.wait()
    try:
        yield
    finally:
        for server in servers:
            server.should_exit = True
        before_stop()
        await asyncio.gather(*tasks)


def _config(app: ASGIApp, tls: ssl.SSLContext | None, websockets: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws=cast("type[asyncio.Protocol]", _websocket) if websockets else "none",
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        ssl_context_factory=None if tls is None else _always(tls),
    )


def _always(tls: ssl.SSLContext) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    def context(config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        return tls

    return context


def _websocket(**parts: Any) -> asyncio.Protocol:
    """Loaded with the first of them: most control planes never see one."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return WebSocketsSansIOProtocol(**parts)


def address(host: str, listener: socket.socket, *, scheme: str = "http") -> str:
    """The address for users on this machine; one that stands for all addresses is reached on loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"
