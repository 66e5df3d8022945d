"""The same pages, served by a control plane itself: for all workers that it knows, to whoever has a key.

What a page asks is asked as the key that the browser was let in with: its scope bounds what the page can do.
"""

import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kubiya_workers import __version__
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.console import PoolWorker, ProxyRecord, Session, SignIn
from kubiya_workers.contracts.errors import Forbidden, Refusal, Unauthorized
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.models import ChosenModel, ModelTest
from kubiya_workers.contracts.workers import Worker
from kubiya_workers.launchers.serving import problems
from kubiya_workers.observability import logs

from . import pool
from .door import Door, Entrance, Names, is_secure, let_in
from .forward import METHODS, PREFIX, is_passed, passed_headers
from .keyed import KeySessions, Tries
from .live import LiveView, told
from .pages import Pages
from .sse import EventStream

BASE = "/ui"
SIGN_IN = "/console/api/sign-in"
ENTRANCE = Entrance(
    base=BASE,
    open=(SIGN_IN,),
    how="sign in with a key of this control plane, or run: kubiya ui --fleet",
    named="start the control plane with KUBIYA_WEBUI_ALLOWED_HOSTS=NAME",
    again="kubiya ui --fleet",
)

log = logs.get(__name__)

Lent = Callable[[Caller], AbstractContextManager[str]]
"""A key that is good for a caller while the context lasts."""


class Fleet:
    """All workers that the control plane knows, on whatever machine."""

    is_fleet = True

    def proxies(self) -> Mapping[str, ProxyRecord]:
        return {}  # those of machines are theirs to tell of

    async def workers(self, known: Sequence[Worker], now: datetime) -> list[PoolWorker]:
        return [pool.told_of(worker) for worker in known if pool.is_news(worker, now)]


class OwnPlane:
    """The control plane of this very process, asked without a network."""

    is_own = True
    embedded = False
    authentication = "none is needed: these pages are its own"

    def __init__(self, app: ASGIApp, url: str, key: str) -> None:
        self.url = url
        self._client = own_client(app, url, key)

    async def client(self) -> ControlPlaneClient:
        return self._client

    async def close(self) -> None:
        await self._client.connection.close()


def own_client(app: ASGIApp, url: str, key: str) -> ControlPlaneClient:
    """A client of an application of this process."""
    return ControlPlaneClient(url, key, transport=httpx.ASGITransport(app))


@dataclass(frozen=True)
class FleetParts:
    """Made once by the control plane's process. `api` is the control plane's own application, at `url`."""

    api: ASGIApp
    url: str
    names: Names
    sessions: KeySessions
    lent: Lent
    live: LiveView
    pages: Pages


class OwnApi:
    """The control plane's API for pages: as the key that the browser was let in with."""

    def __init__(self, parts: FleetParts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Forbidden for what pages have no need of."""
        if not is_passed(scope["method"], scope["path"].removeprefix(PREFIX)):
            raise Forbidden("this part of the control plane's API is not for pages", fix="use the kubiya command")
        caller = await self._parts.sessions.caller(scope["state"]["session"])
        with self._parts.lent(caller) as key:
            await self._parts.api(_as(scope, key), receive, send)
        if scope["method"] != "GET":
            self._parts.live.wake()


def _as(scope: Scope, key: str) -> Scope:
    """The request as the API gets it from whoever has this key."""
    kept = passed_headers(Headers(scope=scope), also=("host",))
    headers = [(name.encode(), value.encode("latin-1")) for name, value in kept.items()]
    asked = {name: scope[name] for name in _OF_REQUEST if name in scope}
    return {**asked, "root_path": "", "headers": [*headers, (b"authorization", f"Bearer {key}".encode())]}


_OF_REQUEST = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string"),
    *("client", "server", "extensions"),
)


def build(parts: FleetParts) -> ASGIApp:
    """The application, to be mounted at BASE; nothing of it is reached but through the door."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    problems.install(app)
    app.include_router(_router(parts))
    app.add_route(PREFIX + "{path:path}", OwnApi(parts), methods=list(METHODS))  # type: ignore[arg-type]
    app.add_route("/{path:path}", parts.pages.__call__, methods=["GET"])
    app.add_middleware(Door, sessions=parts.sessions, names=parts.names, entrance=ENTRANCE)
    app.add_middleware(problems.Edge)
    return Below(app, BASE)


class Below:
    """An application that does not know that it is mounted."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self.app = app
        self._base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(self._base) or "/"
        # For whoever counts requests by their route: the addresses of pages have no end.
        scope["path_params"] = {"page": path[1:]} if path != "/" else {}
        raw = scope["raw_path"].removeprefix(self._base.encode()) or b"/"
        inner = {name: value for name, value in scope.items() if name not in ("endpoint", "route", "router")}
        await self.app({**inner, "path": path, "raw_path": raw, "root_path": "", "state": {}}, receive, send)


def _router(parts: FleetParts) -> APIRouter:
    routes = APIRouter(prefix="/console/api", tags=["console"])
    tries = Tries()

    async def _caller(request: Request) -> Caller:
        return await parts.sessions.caller(request.state.session)

    @routes.post("/sign-in", status_code=204)
    async def sign_in(request: Request, asked: SignIn) -> Response:
        address = request.client.host if request.client else ""
        tries.check(address)
        try:
            session = await parts.sessions.sign_in(asked.key.strip())
        except Refusal as refusal:
            if isinstance(refusal, Unauthorized | Forbidden):
                tries.failed(address)
                log.warning("Sign-in refused", address=address, reason=refusal.detail)
            raise
        tries.succeeded(address)
        response = Response(status_code=204)
        secure = is_secure(request.scope, request.headers)
        let_in(response, parts.sessions.cookie, session, base=BASE, secure=secure)
        return response

    @routes.post("/sign-out", status_code=204)
    async def sign_out() -> Response:
        response = Response(status_code=204)
        response.delete_cookie(parts.sessions.cookie, path=BASE, httponly=True, samesite="strict")
        return response

    @routes.get("/session")
    async def session(request: Request) -> Session:
        known = request.state.session
        return Session(
            csrf=parts.sessions.csrf(known),
            scope="fleet",
            version=__version__,
            build=parts.pages.build,
            os=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            hostname=socket.gethostname(),
            control_plane_url=parts.url,
            guest=await parts.sessions.guest(known),
        )

    @routes.get("/live")
    async def live() -> Response:
        return EventStream(told(parts.live))

    @routes.post("/models/test")
    async def test_model(chosen: ChosenModel, caller: Annotated[Caller, Depends(_caller)]) -> ModelTest:
        with parts.lent(caller) as key:
            async with own_client(parts.api, parts.url, key) as client:
                return await client.models.test(chosen.model)

    return routes
