"""The event log's routes on a real server on loopback, in this event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.errors import Unauthorized
from kubiya_workers.contracts.events import Delta, Fact
from kubiya_workers.contracts.ids import ExecutionId, KeyId, WorkerId
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.control_plane.events.hub import Hub
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.control_plane.routes import streams
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.launchers.serving import problems

WORKER = Caller(key_id=KeyId("k"), name="w", scope=Scope.WORKER, worker_id=WorkerId("w"))


@dataclass
class Auth:
    """Knows one key, until it is revoked."""

    revoked: bool = False

    async def authenticate(self, authorization: str | None) -> Caller:
        if authorization != "Bearer good" or self.revoked:
            raise Unauthorized("the key is not known here")
        return WORKER


@dataclass
class Server:
    url: str
    log: EventLog
    database: Database
    auth: Auth
    appends: list[Sequence[Fact | Delta]] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        headers = {"Authorization": "Bearer good"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, limits=limits, trust_env=False)


def application(server: Server) -> FastAPI:
    async def record(caller: Caller, execution_id: ExecutionId, events: Sequence[Fact | Delta]) -> Appended:
        server.appends.append(events)
        return await server.log.append(execution_id, events)

    app = FastAPI()
    app.state.plane = SimpleNamespace(log=server.log, database=server.database, auth=server.auth)
    problems.install(app)
    app.include_router(streams.router(record), prefix="/api/v1")
    return app


@contextlib.asynccontextmanager
async def on_port(app: Any, port: int = 0) -> AsyncIterator[int]:
    """Serve `app`; leaving ends every connection."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=0, ws="none")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


@contextlib.asynccontextmanager
async def serving(directory: Path, *, queue_limit: int = 1_000) -> AsyncIterator[Server]:
    database = await Database.open(None, directory / "kubiya.db")
    log = EventLog(database, hub=Hub(queue_limit))
    await log.start()
    server = Server("", log, database, Auth())
    try:
        async with on_port(application(server)) as port:
            server.url = f"http://127.0.0.1:{port}"
            yield server
            log.hub.close()
    finally:
        await log.close()
        await database.close()
