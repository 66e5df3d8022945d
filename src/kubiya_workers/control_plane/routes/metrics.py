"""GET /metrics for Prometheus: on this machine without a key, from elsewhere with one."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.keys import Scope
from kubiya_workers.control_plane import health
from kubiya_workers.control_plane.auth import check_scope
from kubiya_workers.control_plane.deps import Plane
from kubiya_workers.observability.exposition import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/metrics")
async def get_metrics(request: Request, plane: Plane) -> Response:
    if not is_local(request):
        caller = await plane.auth.authenticate(request.headers.get("authorization"))
        check_scope(caller, frozenset({Scope.CLIENT}), reads=True)

    async def checks() -> Mapping[str, Check]:
        return (await health.ask(plane)).checks

    page = await plane.metrics.page(plane.database, checks, readers=plane.log.hub.readers)
    return Response(page, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE)


def is_local(request: Request) -> bool:
    """Whether a program of this machine asks for this machine.

    A proxy's requests come from here too, and a web page can give its own name our address: both show in a header.
    """
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers or request.client is None:
        return False
    try:
        asked = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return False
    return _is_loopback(request.client.host) and (asked == "localhost" or _is_loopback(asked or ""))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
