"""The parts of a running control plane, and how a route gets at them and at its caller."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, cast

from fastapi import Depends, Query, Request

from kubiya_workers.contracts.errors import Forbidden
from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.settings.server import ServerSettings

from .auth import Auth, check_scope
from .metrics import Metrics
from .services.models import Models
from .services.objects import ObjectStore
from .services.wishes import Waiting
from .store.database import Database

if TYPE_CHECKING:
    from .events.log import EventLog
    from .services.executions import Engine


@dataclass(frozen=True)
class TemporalAddress:
    """What a worker is told of Temporal. `api_key` is the one configured for workers, never the server's own.

    `tunnel`: workers of other hosts reach it through this control plane, since they cannot reach `host`.
    """

    host: str
    namespace: str = "default"
    api_key: str | None = field(default=None, repr=False)
    tls: bool = False
    tunnel: bool = False


@dataclass(frozen=True)
class ControlPlane:
    """Made once by who starts the process; every route works on these parts."""

    settings: ServerSettings
    database: Database
    log: "EventLog"
    engine: "Engine"
    temporal: TemporalAddress
    objects: ObjectStore
    models: Models
    auth: Auth
    metrics: Metrics = field(default_factory=Metrics)
    waiting: Waiting = field(default_factory=Waiting)
    tls: Callable[[], Check] | None = None
    """How its certificate stands; None where it serves no TLS itself."""


async def _plane(request: Request) -> ControlPlane:
    return cast(ControlPlane, request.app.state.plane)


Plane = Annotated[ControlPlane, Depends(_plane)]


def reached_at(request: Request) -> str:
    """The address by which this caller reached us, also through a proxy that speaks TLS. For its own use alone: it is
    the caller's word."""
    url = request.base_url
    if request.headers.get("x-forwarded-proto") == "https":
        url = url.replace(scheme="https")
    return str(url).rstrip("/")


async def _caller(request: Request, plane: Plane) -> Caller:
    return await plane.auth.authenticate(request.headers.get("authorization"))


def CallerOf(*allowed: Scope) -> Any:
    """The caller, known by its key and of one of these scopes; an admin always is."""
    scopes = frozenset(allowed)

    async def check(request: Request, caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        # No GET changes anything.
        check_scope(caller, scopes, reads=request.method in ("GET", "HEAD"))
        return caller

    return Depends(check)


async def _worker(caller: Annotated[Caller, CallerOf(Scope.WORKER)]) -> Caller:
    if caller.scope is Scope.WORKER and caller.worker_id is None:
        raise Forbidden("this key registers workers; what a worker does needs the token it got at registration")
    return caller


Admin = Annotated[Caller, CallerOf()]
"""Only admins."""
Client = Annotated[Caller, CallerOf(Scope.CLIENT)]
"""People and programs that use the product."""
Person = Annotated[Caller, CallerOf(Scope.CLIENT, Scope.READ)]
"""Whoever may at least look."""
Anyone = Annotated[Caller, CallerOf(Scope.CLIENT, Scope.WORKER)]
"""Whoever has a good key."""
WorkerToken = Annotated[Caller, Depends(_worker)]
"""A registered worker with its own token, or an admin."""


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    skip: int
    limit: int


async def _page(skip: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Page:
    return Page(skip, limit)


Paged = Annotated[Page, Depends(_page)]
