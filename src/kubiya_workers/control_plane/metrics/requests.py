"""Every request, counted by the route that answered it."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubiya_workers.contracts.errors import Refusal

from .counters import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """Stands within the error edge: what goes up to it unanswered is counted as the status that it will become."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, begun = time.perf_counter(), False

        async def noting(message: Message) -> None:
            nonlocal begun
            if not begun and message["type"] == "http.response.start":
                begun = True
                self._count(scope, message["status"], began)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if not begun:
                self._count(scope, error.status if isinstance(error, Refusal) else 500, began)
            raise

    def _count(self, scope: Scope, status: int, began: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.answered(method, template(scope, status), status, time.perf_counter() - began)


def template(scope: Scope, status: int) -> str:
    """The path of the route that answered, mounts included, with the names of its parameters for their values.

    Put together from what was matched: where the framework keeps a route's own path depends on how it was added.
    `unmatched` when there is none: what nobody declared has no end.
    """
    parameters: dict[str, object] = scope.get("path_params", {})
    # Below a mount, a path that leads nowhere was still matched: by the mount.
    if "endpoint" not in scope or (status == 404 and not parameters):
        return "unmatched"
    path: str = scope["path"] + "/"
    for name, value in reversed(parameters.items()):
        # From the right: what comes first are the fixed words, and a value may be like one of them.
        before, found, after = path.rpartition(f"/{value}/")
        if not found:
            return "unmatched"
        path = f"{before}/{{{name}}}/{after}"
    return path[:-1]
