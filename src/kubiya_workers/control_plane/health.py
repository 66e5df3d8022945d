"""Whether this control plane works: no key is needed, every answer comes within `LIMIT_S`.

/health, /api/health, /readyz    200 only when the database and Temporal answer, and no certificate of its own has
                                 expired, else 503 with the reason
/livez                           200 as long as this process serves requests
"""

import asyncio
import time
from collections.abc import Awaitable

from fastapi import APIRouter, Response

from kubiya_workers import __version__
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.health import Check, Health

from .deps import ControlPlane, Plane

LIMIT_S = 2.0

router = APIRouter(tags=["health"])


@router.get("/health")
@router.get("/api/health")
@router.get("/readyz")
async def get_health(plane: Plane, response: Response) -> Health:
    health = await ask(plane)
    response.status_code = 200 if health.status == "healthy" else 503
    response.headers["Cache-Control"] = "no-store"
    return health


@router.get("/livez")
async def get_liveness() -> Health:
    return Health(status="healthy", version=__version__, checks={})


async def ask(plane: ControlPlane) -> Health:
    """Ask every part at once."""
    database, temporal = await asyncio.gather(
        _timed(_ping(plane)),
        _timed(plane.engine.health()),
    )
    checks = {"database": database, "temporal": temporal}
    if plane.tls is not None:
        checks["tls"] = plane.tls()
    status = "healthy" if all(check.ok for check in checks.values()) else "unhealthy"
    return Health(status=status, version=__version__, checks=checks)


async def _ping(plane: ControlPlane) -> Check:
    await plane.database.ping()
    return Check(ok=True, detail=plane.database.dialect)


async def _timed(question: Awaitable[Check]) -> Check:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT_S):
            check = await question
    except TimeoutError:
        return Check(ok=False, detail=f"no answer within {LIMIT_S:g} s")
    except Refusal as error:
        return Check(ok=False, detail=error.detail)
    return check.model_copy(update={"latency_ms": round((time.monotonic() - begun) * 1000, 3)})
