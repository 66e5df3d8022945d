"""The ASGI application of a control plane: the API, its neighbours' routes and mounts, health, and the error edge."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from kubiya_workers import __version__
from kubiya_workers.launchers.serving import problems

from . import health
from .deps import Anyone, ControlPlane
from .metrics.requests import Measured
from .routes import (
    agents,
    environments,
    keys,
    metrics,
    models,
    objects,
    queues,
    skills,
    teams,
    temporal,
    tickets,
    usage,
    workers,
)

API = "/api/v1"

_RESOURCES = (agents, teams, skills, environments, workers, queues, keys, tickets, models, usage, objects, temporal)


def build(
    plane: ControlPlane, *, routers: Sequence[APIRouter] = (), mounts: Mapping[str, ASGIApp] | None = None
) -> FastAPI:
    """The application of these parts. `routers` are added under /api/v1, `mounts` are applications by their path."""
    app = FastAPI(
        title="kubiya control plane",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.plane = plane
    problems.install(app)
    # The framework tries one route after the other: model calls, streams and runs first, of which there are thousands.
    for path, mounted in (mounts or {}).items():
        app.mount(path, mounted)
    for router in (*routers, *(module.router for module in _RESOURCES)):
        app.include_router(router, prefix=API)
    app.include_router(health.router)
    app.include_router(metrics.router)

    # Our own route for it: the framework's would answer without a key.
    @app.get(f"{API}/openapi.json", include_in_schema=False)
    async def describe(caller: Anyone) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(app.openapi())

    app.add_middleware(Measured, metrics=plane.metrics)
    app.add_middleware(problems.Edge)
    return app
