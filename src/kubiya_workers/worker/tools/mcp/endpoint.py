"""A server that is called over streamable HTTP: only addresses that its configuration allows, as `http` has it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType

import httpx2
from mcp.client.streamable_http import streamable_http_client

from kubiya_workers.client.trust import distrust, verify
from kubiya_workers.settings.proxies import Proxies
from kubiya_workers.settings.source import BadSetting

from ..addresses import Reach
from ..call import ToolFault
from ..http import addresses_of
from .program import LONGEST_MESSAGE, Read, Write
from .target import Endpoint

_CONNECT_S = 10.0


class EndpointLink:
    """The transport of one server at an address. A proxy of the worker's environment is used, as by all clients of
    ours; then it is the proxy that finds the address."""

    def __init__(self, endpoint: Endpoint, proxies: Proxies) -> None:
        self._endpoint = endpoint
        self._proxies = proxies
        self.ended = asyncio.Event()
        """Never: each request is a connection of its own."""
        self._stack = AsyncExitStack()
        self._watched: _Watched | None = None

    async def __aenter__(self) -> tuple[Read, Write]:
        endpoint = self._endpoint
        url = httpx2.URL(endpoint.url)
        proxy = self._proxies.url_towards(url.host, secure=url.scheme == "https")
        try:
            inner = httpx2.AsyncHTTPTransport(verify=verify(endpoint.url), trust_env=False, proxy=proxy)
        except BadSetting as error:
            raise ToolFault(str(error)) from None
        self._watched = _Watched(inner, endpoint, direct=proxy is None)
        try:
            client = await self._stack.enter_async_context(
                httpx2.AsyncClient(
                    transport=self._watched,
                    headers={"user-agent": "kubiya", **endpoint.headers},
                    timeout=httpx2.Timeout(None, connect=_CONNECT_S),
                    trust_env=False,
                )
            )
            streams = streamable_http_client(endpoint.url, http_client=client, max_sse_event_size=LONGEST_MESSAGE)
            return await self._stack.enter_async_context(streams)  # pyright: ignore[reportReturnType]
        except BaseException:
            await self._stack.aclose()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    @property
    def is_away(self) -> bool:
        return self._watched is not None and self._watched.is_away

    async def problem(self) -> str:
        """What went wrong with the last request, if anything did."""
        return "" if self._watched is None else self._watched.problem


class _Watched(httpx2.AsyncBaseTransport):
    """Sends to addresses that were checked, bounds answers, and remembers what went wrong: the SDK does not say it."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, endpoint: Endpoint, *, direct: bool) -> None:
        self._inner = inner
        self._reach = Reach((), (), endpoint.allow_private, endpoint.allow_link_local)
        self._direct = direct
        self.problem = ""
        self.is_away = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._send(request)
        except ToolFault as fault:
            self.problem, self.is_away = str(fault), False
            raise httpx2.ConnectError(self.problem, request=request) from None
        except httpx2.HTTPError as error:
            refused = distrust(error)
            reason = refused.reason if refused else str(error) or type(error).__name__
            self.problem, self.is_away = f"{request.url.host} could not be reached: {reason}", refused is None
            raise
        # A server need not serve every method; whatever else it refuses is what went wrong.
        failed = response.status_code >= 400 and response.status_code != 405
        self.is_away = response.status_code >= 500
        self.problem = f"HTTP {response.status_code} {response.reason_phrase}".rstrip() if failed else ""
        if "text/event-stream" in response.headers.get("content-type", ""):
            return response
        response.stream = _Bounded(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        if not self._direct:
            with contextlib.suppress(ValueError):  # a name, which the proxy will look up
                self._reach.check_address(request.url.host, request.url.host)
            return await self._inner.handle_async_request(request)
        addresses = await addresses_of(request.url.host, request.url.port, request.url.scheme, self._reach)
        for address in addresses:
            try:
                return await self._inner.handle_async_request(_to(address, request))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise AssertionError("a host has an address")


def _to(address: str, request: httpx2.Request) -> httpx2.Request:
    """The same request, to that very address; the one that was asked for keeps its name, for redirects."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")},
    )


class _Bounded(httpx2.AsyncByteStream):
    """An answer that is read as a whole, and must not be larger than one message may be."""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        assert isinstance(self._inner, httpx2.AsyncByteStream)
        async for chunk in self._inner:
            size += len(chunk)
            if size > LONGEST_MESSAGE:
                raise httpx2.ReadError(f"an answer of more than {LONGEST_MESSAGE // 1024**2} MiB")
            yield chunk

    async def aclose(self) -> None:
        if isinstance(self._inner, httpx2.AsyncByteStream):
            await self._inner.aclose()
