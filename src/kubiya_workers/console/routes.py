"""What pages ask beyond the control plane's API: `/console/api/*`."""

import asyncio
import os
import platform
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kubiya_workers import __version__
from kubiya_workers.contracts.console import (
    DoctorReport,
    EnvironmentPage,
    LogPage,
    LogSource,
    PoolWorker,
    ProxyAction,
    ProxyStatus,
    Session,
)
from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.models import ChosenModel, ModelTest
from kubiya_workers.contracts.wire import Wire, zoned
from kubiya_workers.contracts.workers import Action, AskedOf
from kubiya_workers.settings.source import Source

from . import doctor, environment, log_files, proxy
from .live import told
from .logs import MOST_LINES, Asked
from .parts import Parts
from .sse import EventStream


class Wish(Wire):
    """A value to be saved; null takes the saved one away."""

    value: str | None


def router(parts: Parts) -> APIRouter:  # noqa: C901 - one route after the other
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
        return EventStream(told(parts.live))

    @routes.post("/workers/{key}/{action}")
    async def act(key: str, action: Action, asked: AskedOf | None = None) -> PoolWorker:
        done = await parts.pool.act(key, action, note=asked.note if asked else None)
        parts.live.wake()
        return done

    @routes.get("/logs")
    async def log_sources() -> list[LogSource]:
        return await asyncio.to_thread(parts.logs.sources)

    @routes.get("/logs/lines")
    async def log_lines(asked: LogsAsked) -> LogPage:
        return await asyncio.to_thread(parts.logs.lines, asked)

    @routes.get("/logs/stream")
    async def log_stream(source: str, after: str | None = None) -> Response:
        return EventStream(parts.logs.follow(source, after))

    @routes.get("/logs/download")
    async def log_download(source: str) -> Response:
        path = parts.logs.path(source)
        if not path.is_file():
            raise NotFound(f"there is no log {source} yet")
        return _download(log_files.whole(path), source.replace("/", "-") + ".log")

    @routes.get("/environment")
    async def get_environment() -> EnvironmentPage:
        return await asyncio.to_thread(environment.page, parts.paths, Source.of_process())

    @routes.put("/environment/{name}")
    async def put_environment(name: str, wish: Wish) -> EnvironmentPage:
        await asyncio.to_thread(environment.save, parts.paths, name, wish.value)
        return await asyncio.to_thread(environment.page, parts.paths, Source.of_process())

    @routes.get("/doctor")
    async def get_doctor() -> DoctorReport:
        return await _examined(parts)

    @routes.post("/doctor/fix/{name}")
    async def fix(name: str) -> DoctorReport:
        await asyncio.to_thread(doctor.fix, parts.known(), Source.of_process(), name)
        return await _examined(parts)

    @routes.get("/doctor/report")
    async def get_report() -> Response:
        text = doctor.report(await _examined(parts), parts.known(), Source.of_process())
        return _download([text.encode()], "kubiya-doctor.txt")

    @routes.get("/proxy")
    async def proxies() -> list[ProxyStatus]:
        return await proxy.statuses(parts.paths)

    @routes.post("/proxy/{owner:path}/{action}")
    async def act_on_proxy(owner: str, action: ProxyAction) -> ProxyStatus:
        done = await proxy.act(parts.paths, owner, action)
        parts.live.wake()
        return done

    @routes.post("/models/test")
    async def test_model(chosen: ChosenModel) -> ModelTest:
        client = await parts.plane.client()
        return await client.models.test(chosen.model)

    return routes


async def _examined(parts: Parts) -> DoctorReport:
    found = await doctor.all_findings(parts.known(), Source.of_process(), parts.plane.reached)
    return DoctorReport(at=datetime.now(UTC), findings=tuple(found))


def _download(chunks: Iterable[bytes], name: str) -> Response:
    disposition = f'attachment; filename="{name}"'
    return StreamingResponse(chunks, headers={"Content-Disposition": disposition}, media_type="text/plain")


async def _logs_asked(
    source: str,
    level: str | None = None,
    text: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 500,
) -> Asked:
    return Asked(source, level, text, zoned(since), zoned(until), before, after, limit)


LogsAsked = Annotated[Asked, Depends(_logs_asked)]
