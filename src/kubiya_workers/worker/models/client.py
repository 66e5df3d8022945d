"""The one way in which a worker speaks to models: streamed calls to the gateway."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import httpx
from pydantic_core import from_json, to_json

from kubiya_workers.client.trust import distrust, verify
from kubiya_workers.contracts.activities import ModelCall, ModelReply
from kubiya_workers.contracts.models import listed_names
from kubiya_workers.observability.redaction import Redactor

from .assembly import Assembly, DeltaKind
from .errors import UpstreamError, of_response
from .request import request_body
from .stream import ChunkReader, checked

OnDelta = Callable[[DeltaKind, str], None]
"""Told each text as it comes: `("message" | "reasoning", text)`."""

_CONNECT_S = 5.0
_LIST_S = 5.0
_ERROR_BYTES = 65_536
_LINGER_S = 5.0
"""How long a finished answer may keep its connection open before it is given up."""


class ModelClient:
    """Calls to the gateway at `url` with the worker's own `token`, over one pool of connections.

    `direct`: never through a proxy of the environment. Times in seconds. The limit of a whole call is the caller's:
    cancel the task, and the gateway stops the model.
    """

    def __init__(
        self, url: str, token: str, *, first_byte_s: float = 600.0, idle_s: float = 120.0, direct: bool = False
    ) -> None:
        base = f"{url.rstrip('/').removesuffix('/v1')}/v1"
        self._url, self._list_url = f"{base}/chat/completions", f"{base}/models"
        self._first_byte_s, self._idle_s = first_byte_s, idle_s
        self._http = httpx.AsyncClient(
            headers={"content-type": "application/json", "accept-encoding": "identity"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=30),
            # Silence is bounded by `_exchange`, which tells the first byte from the next; here only the connect.
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            verify=verify(base),
            trust_env=not direct,
            # A proxy of the environment is for the world outside: never for a gateway on this machine.
            mounts=dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]")),
        )
        self.use_token(token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    def use_token(self, token: str) -> None:
        """Call with this token from now on: a new registration brings a new one."""
        self._http.headers["authorization"] = f"Bearer {token}"
        self._redactor = Redactor([token])

    async def names(self) -> tuple[str, ...] | None:
        """The models that the gateway lists; None when it does not say."""
        try:
            async with asyncio.timeout(_LIST_S):
                answer = await self._http.get(self._list_url)
                return tuple(listed_names(from_json(answer.content))) if answer.is_success else None
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None

    async def complete(self, call: ModelCall, on_delta: OnDelta) -> ModelReply:
        """One model call, its texts told to `on_delta` as they come.

        Raises:
            UpstreamError: it failed; `retryable` says whether another attempt can help.
        """
        assembly = Assembly(call.model, call.step)
        try:
            with _failures_named(self._url):
                await self._exchange(call, assembly, on_delta)
        except UpstreamError as error:
            # With the message whole, all that could still have come is the usage.
            if not assembly.finished:
                raise error.redacted(self._redactor) from None
        if not assembly.finished:
            raise UpstreamError("the model's answer broke off before its end")
        return assembly.reply()

    async def _exchange(self, call: ModelCall, assembly: Assembly, on_delta: OnDelta) -> None:
        clock = asyncio.get_running_loop().time
        async with asyncio.timeout(self._first_byte_s) as silence:
            request = self._http.build_request("POST", self._url, content=to_json(request_body(call)))
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code >= 300:
                    raise of_response(response.status_code, response.headers, await _head(response), datetime.now(UTC))
                reader = _reader_of(response)
                async for piece in response.aiter_raw():
                    _take(reader.feed(piece), assembly, on_delta)
                    # Read on to the end even after `[DONE]`, or the connection could not be used again.
                    over = reader.done or assembly.finished
                    silence.reschedule(clock() + (_LINGER_S if over else self._idle_s))
                _take(reader.close(), assembly, on_delta)
                assembly.end(said_done=reader.done)
            finally:
                await response.aclose()


class _WholeReader:
    """Reads an answer that is one JSON object: some servers do not stream although they are asked to."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.done = False

    def feed(self, data: bytes) -> list[dict[str, object]]:
        self._pieces.append(data)
        return []

    def close(self) -> list[dict[str, object]]:
        return [checked(b"".join(self._pieces))]


def _reader_of(response: httpx.Response) -> ChunkReader | _WholeReader:
    is_json = response.headers.get("content-type", "").startswith("application/json")
    return _WholeReader() if is_json else ChunkReader()


def _take(chunks: list[dict[str, object]], assembly: Assembly, on_delta: OnDelta) -> None:
    for chunk in chunks:
        for kind, text in assembly.feed(chunk):
            on_delta(kind, text)


async def _head(response: httpx.Response) -> bytes:
    """As much of an error's body as says what it is."""
    read = bytearray()
    async for piece in response.aiter_raw():
        read += piece
        if len(read) >= _ERROR_BYTES:
            break
    return bytes(read)


@contextmanager
def _failures_named(url: str) -> Generator[None]:
    """Renames what the network and the clock raise; all of it may be better at the next attempt."""
    try:
        yield
    except TimeoutError:
        raise UpstreamError("the model went silent: nothing came from it within the time limit") from None
    except httpx.ConnectError as error:
        raise _not_connected(url, error) from error
    except httpx.TimeoutException as error:
        raise UpstreamError(f"the LLM gateway at {url} does not answer") from error
    except httpx.RemoteProtocolError as error:
        raise UpstreamError("the model's answer broke off before its end") from error
    except httpx.HTTPError as error:
        raise UpstreamError(f"the model call failed on the network: {error or type(error).__name__}") from error
    except httpx.InvalidURL as error:
        raise UpstreamError(f"the LLM gateway's address {url!r} is not valid: {error}", retryable=False) from error


def _not_connected(url: str, error: httpx.ConnectError) -> UpstreamError:
    what = f"the LLM gateway at {url} cannot be reached"
    if (distrusted := distrust(error)) is not None:  # no later attempt would find another certificate
        return UpstreamError(f"{what}: {distrusted.reason}. {distrusted.fix}", retryable=False)
    return UpstreamError(f"{what}: {error}")
