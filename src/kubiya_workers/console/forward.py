"""The control plane's API passed through: its key is added here, and goes no further.

Only what pages need is passed. What would hand out a key, a worker's token or a workspace's secrets is not, nor what
only workers do.
"""

import re
from collections.abc import AsyncGenerator, Mapping

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from kubiya_workers.client.errors import unreachable
from kubiya_workers.client.trust import verify
from kubiya_workers.contracts.errors import Forbidden
from kubiya_workers.settings.proxies import is_loopback

from .target import Target

PREFIX = "/api/v1/"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_READ = re.compile(r"(agents|teams|skills|environments|worker-queues|workers|models|usage|executions|jobs)(/.*)?")
_WORKERS_ONLY = re.compile(r"executions/[^/]+/(workspace|steps/.*)")
_WRITE = re.compile(
    r"(agents|teams)(/[^/]+(/execute)?)?"
    r"|skills(/[^/]+)?"
    r"|environments(/[^/]+(/worker-queues)?)?"
    r"|worker-queues/[^/]+"
    r"|models/default"
    r"|jobs/[^/]+/(trigger|enable|disable)"
    r"|workers/[^/]+/(pause|resume|drain|restart)"
    r"|executions/[^/]+(/(message|cancel|terminate|pause|resume|mark-done|approvals/[^/]+))?"
)
_NO_STEP = re.compile(r"(^|/)\.{1,2}(/|$)")
_ASKED = ("accept", "content-type", "content-length", "idempotency-key", "last-event-id")
_TOLD = (
    *("content-type", "content-length", "content-encoding", "content-disposition", "cache-control"),
    *("retry-after", "x-total-count", "x-accel-buffering"),
)
_TIMEOUT = httpx.Timeout(None, connect=5.0, pool=5.0)
"""A run that waits says nothing for as long as it waits; the control plane keeps its streams alive itself."""


def is_passed(method: str, path: str) -> bool:
    """Whether pages need this; `path` is below the prefix, decoded."""
    if _NO_STEP.search(path):
        return False
    if method == "GET":
        return bool(_READ.fullmatch(path)) and not _WORKERS_ONLY.fullmatch(path)
    return bool(_WRITE.fullmatch(path))


class Forward:
    """Passes requests on over one pool of connections."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client = _client(target.url)

    async def close(self) -> None:
        await self._client.aclose()

    async def __call__(self, request: Request) -> Response:
        """The control plane's answer, as it comes.

        Raises:
            Forbidden: pages have no need of this.
            Refusal: the control plane does not answer.
        """
        if not is_passed(request.method, request.url.path.removeprefix(PREFIX)):
            raise Forbidden("this part of the control plane's API is not for pages", fix="use the kubiya command")
        endpoint = self._target.now()
        asked = self._client.build_request(
            request.method,
            endpoint.url + _raw(request),
            headers={
                **passed_headers(request.headers),
                "Accept-Encoding": "identity",
                "Authorization": f"Bearer {endpoint.key}",
            },
            content=_body(request) if request.method != "GET" else None,
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.HTTPError as error:
            raise unreachable(endpoint.url, error) from error
        return StreamingResponse(_streamed(answer), answer.status_code, _kept(answer.headers, _TOLD))


def passed_headers(headers: Mapping[str, str], *, also: tuple[str, ...] = ()) -> dict[str, str]:
    """Those of a request that go on; never its cookies, nor a key of its own."""
    return _kept(headers, (*_ASKED, *also))


def _client(url: str) -> httpx.AsyncClient:
    """As `client.connection` makes it, but for as many streams as there are pages, and without a limit of time."""
    return httpx.AsyncClient(
        timeout=_TIMEOUT,
        trust_env=not is_loopback(httpx.URL(url).host),
        verify=verify(url),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
    )


def _raw(request: Request) -> str:
    """Path and query as they were sent: names may hold escaped slashes."""
    raw = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return f"{raw}?{query}" if query else raw


def _kept(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


async def _body(request: Request) -> AsyncGenerator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise httpx.ReadError("the page went away") from error


async def _streamed(answer: httpx.Response) -> AsyncGenerator[bytes]:
    """The body as it comes, chunk by chunk; when the control plane goes away it ends, and the page comes back."""
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except httpx.HTTPError:
        return
    finally:
        await answer.aclose()
