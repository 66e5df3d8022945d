"""A real console application in a home of its own, called in this process; its control plane is away."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from kubiya_workers.console.app import build
from kubiya_workers.console.contact import ControlPlane
from kubiya_workers.console.door import Names, Sessions
from kubiya_workers.console.forward import Forward
from kubiya_workers.console.live import LiveView
from kubiya_workers.console.logs import Logs
from kubiya_workers.console.pages import Pages
from kubiya_workers.console.parts import Parts
from kubiya_workers.console.pool import Pool, ThisMachine
from kubiya_workers.console.target import Target
from kubiya_workers.launchers import signin
from kubiya_workers.settings.paths import Paths

PORT = 8088
BASE = f"http://127.0.0.1:{PORT}"
SECRET = "the secret of this start"
KEY = "kbw_the-key-of-the-control-plane"


@dataclass
class Console:
    """The application, a browser that was not let in, and what lets one in."""

    app: FastAPI
    parts: Parts
    stranger: httpx.AsyncClient

    def address(self, path: str = "/") -> str:
        return f"{path}?token={signin.make(SECRET, time.time())}"

    async def enter(self) -> str:
        """Let the browser in; what goes with its changes."""
        assert (await self.stranger.get(self.address())).status_code == 303
        session: str = (await self.stranger.get("/console/api/session")).json()["csrf"]
        return session

    def routes(self) -> Iterator[tuple[str, str]]:
        """Method and an address of everything that is served but pages."""
        for path, methods in self.app.openapi()["paths"].items():
            for method in methods:
                yield method.upper(), re.sub(r"\{[^}]*\}", "x", path)
        for route in self.app.routes:
            if isinstance(route, Route) and route.path != "/{path:path}":
                for method in sorted(route.methods or ()):
                    yield method, re.sub(r"\{[^}]*\}", "x", route.path)


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    paths, over = Paths(tmp_path / "home"), asyncio.Event()
    target = Target(paths, "http://127.0.0.1:1", KEY, embedded=False)
    plane = ControlPlane(target)
    parts = Parts(
        paths=paths,
        names=Names(("workers.example.com",)),
        sessions=Sessions(SECRET, cookie=f"kubiya_{PORT}"),
        plane=plane,
        forward=Forward(target),
        live=LiveView(ThisMachine(paths), plane, over),
        pool=Pool(paths),
        pages=Pages(tmp_path / "static"),
        logs=Logs(paths, over),
    )
    app = build(parts)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield Console(app, parts, client)
    for close in (plane.close, parts.forward.close, parts.pool.close):
        await close()
