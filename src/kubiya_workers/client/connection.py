"""One control plane and one key: a request goes out, a typed answer or a refusal comes back."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from kubiya_workers.contracts.errors import Unauthorized
from kubiya_workers.settings.proxies import is_loopback

from .errors import Unreadable, refusal_of, unreachable
from .trust import verify

T = TypeVar("T")

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_RECONNECT_S = 0.2
_LAST_PORT = 65_535

Query = Mapping[str, str | int | bool | None]


class Connection:
    """A pool of connections to the API at `url`, each request with `key`.

    Only failed connects are retried, so that no request is ever made twice. Every method raises `Refusal` of the
    answer's status, `Unreachable` when none came, and `Unreadable` when it does not fit the contract. Making one
    raises `BadSetting` when the certificate authorities to trust cannot be read.
    """

    def __init__(self, url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        if not (key.isascii() and key.isprintable()):
            raise Unauthorized("the key holds characters that no key has", fix="Set KUBIYA_API_KEY to the key alone.")
        self.http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=TIMEOUT,
            # A proxy for the outside world has no business between a machine and itself.
            trust_env=not _is_loopback(self.url),
            # A certificate store is loaded only where TLS is spoken: it costs more than the rest of a local command.
            verify=verify(self.url),
            transport=transport,
        )

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.http.aclose()

    def address(self, path: str) -> str:
        """The full address of `path` under the API."""
        return f"{self.url}/api/v1{path}"

    async def get(self, path: str, answer: TypeAdapter[T], query: Query | None = None) -> T:
        return self.read(await self.send("GET", path, query=query), answer)

    async def put(
        self,
        method: str,
        path: str,
        answer: TypeAdapter[T],
        body: BaseModel | None = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """A request that changes something; only the fields that `body` was given are sent."""
        return self.read(await self.send(method, path, body, query=query, headers=headers), answer)

    async def send(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer as it came, its status below 400."""
        response = await self.ask(method, self.address(path), body, query=query, headers=headers)
        if response.status_code >= 400:
            raise refusal_of(response)
        return response

    async def ask(
        self,
        method: str,
        url: str,
        body: BaseModel | None = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer as it came, whatever its status.

        Raises:
            Unreachable: none came.
        """
        content = None if body is None else body.model_dump_json(exclude_unset=True, by_alias=True)
        json_type = {} if body is None else {"Content-Type": "application/json"}
        params = {name: value for name, value in (query or {}).items() if value is not None}
        request = self._request(method, url, content=content, params=params, headers={**json_type, **(headers or {})})
        try:
            return await self._once_connected(request)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error

    def _request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        try:
            request = self.http.build_request(method, url, **parts)
            if (request.url.port or 0) > _LAST_PORT:  # the socket would raise what no caller expects
                raise httpx.InvalidURL(f"there is no port {request.url.port}")
        except httpx.InvalidURL as error:
            raise unreachable(self.url, error) from error
        return request

    async def _once_connected(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self.http.send(request)
        except httpx.ConnectError:
            await asyncio.sleep(_RECONNECT_S)
            return await self.http.send(request)

    def read(self, response: httpx.Response, answer: TypeAdapter[T]) -> T:
        """The body of an answer, typed."""
        try:
            return answer.validate_json(response.content)
        except ValidationError as error:
            first: Any = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "the body"
            raise Unreadable(
                f"{self.url} answered {response.request.url.path} with something else than expected "
                f"({where}: {first['msg']})",
                fix="Check that CONTROL_PLANE_URL is a control plane of this version.",
            ) from None


def _is_loopback(url: str) -> bool:
    try:
        return is_loopback(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False
