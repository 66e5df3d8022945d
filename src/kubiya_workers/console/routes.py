"""What pages ask beyond the control plane's API: `/console/api/*`."""

import os
import platform
import socket
from collections.abc import AsyncGenerator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kubiya_workers import __version__
from kubiya_workers.contracts.console import Action, PoolWorker, Session
from kubiya_workers.contracts.wire import Wire

from .live import LiveView
from .parts import Parts
from .sse import KEEP_ALIVE, EventStream, event


class Asked(Wire):
    """The body of an action: empty, or with a note for whoever looks."""

    note: str | None = None


def router(parts: Parts) -> APIRouter:
    """The routes, working on these parts."""
    routes = APIRouter(prefix="/console/api", tags=["console"])

    @routes.get("/session")
    async def session(request: Request) -> Session:
        return Session(
            csrf=parts.sessions.csrf(request.state.session),
            scope="pool",
            version=__version__,
            build=parts.pages.build,
            os=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            hostname=socket.gethostname(),
            home=os.fspath(parts.paths.home),
            control_plane_url=parts.live.contacts.connection.url,
        )

    @routes.get("/live")
    async def live() -> Response:
        return EventStream(_told(parts.live))

    @routes.post("/workers/{key}/{action}")
    async def act(key: str, action: Action, asked: Asked | None = None) -> PoolWorker:
        done = await parts.pool.act(key, action, note=asked.note if asked else None)
        parts.live.wake()
        return done

    return routes


async def _told(live: LiveView) -> AsyncGenerator[bytes]:
    yield KEEP_ALIVE  # the headers go out at once
    changes = live.changes()
    try:
        async for change in changes:
            yield KEEP_ALIVE if change is None else event("live", change)
    finally:
        await changes.aclose()
