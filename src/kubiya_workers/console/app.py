"""The ASGI application of the console: the API of its pages, the control plane's passed through, and the pages."""

from fastapi import FastAPI

from kubiya_workers import __version__
from kubiya_workers.launchers.serving import problems

from . import routes
from .door import Door
from .forward import METHODS, PREFIX
from .parts import Parts


def build(parts: Parts) -> FastAPI:
    """The application of these parts; nothing of it is reached but through the door."""
    app = FastAPI(
        title="kubiya console",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(routes.router(parts))
    app.add_route(PREFIX + "{path:path}", parts.forward.__call__, methods=list(METHODS))
    app.add_route("/{path:path}", parts.pages.__call__, methods=["GET"])
    app.add_middleware(Door, sessions=parts.sessions, names=parts.names)
    app.add_middleware(problems.Edge)
    return app
