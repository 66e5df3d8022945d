"""An ASGI application on a socket of ours, inside an event loop of ours; signals are the process's business."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator

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


@contextlib.asynccontextmanager
async def served(
    app: ASGIApp, listener: socket.socket, *, before_stop: Callable[[], None]
) -> AsyncGenerator[None, None]:
    """`app` answers on `listener` for as long as the context lasts.

    Args:
        before_stop: called when no request is taken any more, to end those that would never end by themselves.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    await server.serving.wait()
    try:
        yield
    finally:
        server.should_exit = True
        before_stop()
        await task


def address(host: str, listener: socket.socket) -> str:
    """The address for users on this machine; one that stands for all addresses is reached on loopback."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"
