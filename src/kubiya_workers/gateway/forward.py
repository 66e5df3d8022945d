"""A call passed on to an OpenAI-compatible server, and its answer passed back as it comes.

No retries: whoever called decides. The upstream's key never leaves this process: it is cut out of what the upstream
says, too.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import httpx
from pydantic_core import from_json, to_json
from starlette.types import Send

from kubiya_workers.client.trust import distrust, verify
from kubiya_workers.contracts.models import LITELLM_RETRY_AFTER
from kubiya_workers.observability.redaction import ErrorRedactor

from .config import Upstream
from .exchange import RawHeaders, problem, send_json, send_start, send_whole
from .outcome import Outcome, Result
from .usage import StreamTail, usage_in

_CONNECT_S = 5.0
_WHOLE_LIMIT = 64 * 1024 * 1024
_ERROR_LIMIT = 65_536
_WORDS = 2000
_PASSED_ON = (b"retry-after", b"content-encoding", b"x-request-id", b"openai-processing-ms", b"x-ratelimit-")
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def http_client(read_timeout_s: float, *upstreams: str) -> httpx.AsyncClient:
    """The one client of the gateway, for upstreams at these addresses. The read limit is the longest silence of one, in
    seconds.

    Raises:
        BadSetting: the certificate authorities to trust cannot be read.
    """
    return httpx.AsyncClient(
        verify=verify(*upstreams),
        timeout=httpx.Timeout(read_timeout_s, connect=_CONNECT_S, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=30),
        headers={"accept-encoding": "identity", "user-agent": "kubiya-gateway"},
        # A proxy of the environment is for the world outside: never for a server on this machine.
        mounts=dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]")),
    )


@dataclass(frozen=True)
class Call:
    """What goes to an upstream: `path` under its base, and the body as bytes."""

    upstream: Upstream
    path: str
    body: bytes


async def forward(http: httpx.AsyncClient, call: Call, send: Send) -> Outcome:
    """Pass the call on, and answer the client whatever comes of it.

    Cancel it to stop the upstream: its connection is closed then.
    """
    try:
        response = await http.send(_request(http, call), stream=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return await _send_failure(send, call.upstream, error)
    try:
        if response.status_code >= 300:
            return await _send_error(send, response, call.upstream)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return await _pass_stream(send, response, call.upstream)
        return await _pass_whole(send, response, call.upstream)
    finally:
        await response.aclose()


def _request(http: httpx.AsyncClient, call: Call) -> httpx.Request:
    headers = {"content-type": "application/json"}
    if call.upstream.api_key:
        headers["authorization"] = f"Bearer {call.upstream.api_key}"
    return http.build_request("POST", _url(call.upstream.base_url + call.path), content=call.body, headers=headers)


@lru_cache(maxsize=256)
def _url(address: str) -> httpx.URL:
    """Parsed once: the same few are called all the time."""
    return httpx.URL(address)


async def _pass_stream(send: Send, response: httpx.Response, upstream: Upstream) -> Outcome:
    await send_start(send, response.status_code, [*_STREAM_HEADERS, *_kept(response)])
    tail, errors, result = StreamTail(), ErrorRedactor(upstream.redactor), Result.COMPLETED
    try:
        async for data in response.aiter_raw():
            tail.feed(data)
            await send({"type": "http.response.body", "body": errors.feed(data), "more_body": True})
    except httpx.HTTPError as error:
        status, message, result = _explained(upstream, error)
        last = b"data: " + to_json(problem(status, message, "upstream_broke_off")) + b"\n\n"
        await send({"type": "http.response.body", "body": b"\n\n" + last, "more_body": True})
    else:
        if tail.tells_of_error():
            result = Result.FAILED
    await send({"type": "http.response.body", "body": errors.close()})
    return Outcome(result, tail.usage())


async def _pass_whole(send: Send, response: httpx.Response, upstream: Upstream) -> Outcome:
    try:
        body = await _read(response, _WHOLE_LIMIT)
    except httpx.HTTPError as error:
        return await _send_failure(send, upstream, error)
    kind = response.headers.get("content-type", "application/json").encode("latin-1")
    await send_whole(send, response.status_code, [(b"content-type", kind), *_kept(response)], body)
    return Outcome(Result.COMPLETED, usage_in(body))


async def _send_error(send: Send, response: httpx.Response, upstream: Upstream) -> Outcome:
    """The upstream's own error with its status, in the one shape of ours; a redirect is an error of configuration."""
    try:
        body = await _read(response, _ERROR_LIMIT)
    except httpx.HTTPError:
        body = b""
    status = response.status_code
    if status < 400:
        status, words = 502, f"it redirects to {response.headers.get('location', 'elsewhere')}: check its base URL"
    else:
        words = _words(body) or f"HTTP {status}"
    message = f"the upstream '{upstream.name}' refused the call: {upstream.redactor.text(words)}"
    await send_json(send, problem(status, message, "upstream_refused"), status, _kept(response))
    return Outcome(Result.of_status(response.status_code))


async def _send_failure(send: Send, upstream: Upstream, error: Exception) -> Outcome:
    status, message, result = _explained(upstream, error)
    await send_json(send, problem(status, message, "upstream_unreachable"), status)
    return Outcome(result)


def _explained(upstream: Upstream, error: Exception) -> tuple[int, str, Result]:
    """The status, the words and the kind of a call that got no answer, or only a part of one."""
    what = upstream.redactor.text(f"the upstream '{upstream.name}' at {upstream.base_url}")
    match error:
        case httpx.ConnectTimeout():
            return 504, f"{what} does not accept connections (waited {_CONNECT_S:g} s)", Result.TIMEOUT
        case httpx.TimeoutException():
            return 504, f"{what} went silent: nothing came from it within the time limit", Result.TIMEOUT
        case httpx.ConnectError() if (distrusted := distrust(error)) is not None:
            return 502, f"{what} cannot be reached: {distrusted.reason}. {distrusted.fix}", Result.UNREACHABLE
        case httpx.ConnectError() | httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return 502, upstream.redactor.text(f"{what} cannot be reached: {error}"), Result.UNREACHABLE
        case _:
            words = f"{what} broke off its answer: {error or type(error).__name__}"
            return 502, upstream.redactor.text(words), Result.BROKE_OFF


async def _read(response: httpx.Response, limit: int) -> bytes:
    """The body, up to the limit and the piece that goes over it."""
    parts, size = list[bytes](), 0
    async for data in response.aiter_raw():
        parts.append(data)
        size += len(data)
        if size > limit:
            break
    return b"".join(parts)


def _words(body: bytes) -> str:
    """The message in an error body; the body itself when it is no JSON."""
    text = body.decode("utf-8", "replace")
    try:
        found: object = from_json(text)
    except ValueError:
        found = text
    for _ in range(4):
        if not isinstance(found, dict):
            break
        fields = cast(dict[str, Any], found)
        found = fields.get("error") or fields.get("message") or fields.get("detail") or ""
    return " ".join(str(found).split())[:_WORDS]


def _kept(response: httpx.Response) -> RawHeaders:
    kept = [(name.lower(), value) for name, value in response.headers.raw if name.lower().startswith(_PASSED_ON)]
    pause = response.headers.get(LITELLM_RETRY_AFTER)
    if pause is not None and "retry-after" not in response.headers:
        kept.append((b"retry-after", pause.encode("latin-1")))
    return kept
