"""HTTP requests. Each hop is checked anew: the host's name by the lists, then every address it has; and the connection
goes to the very address that was checked, so that a name cannot change its mind in between.

Proxies of the worker's environment are not used: they would be asked for what is refused here.
"""

import asyncio
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx

from kubiya_workers.agent.skill_limits import HttpLimits
from kubiya_workers.client.trust import distrust, verify
from kubiya_workers.contracts.tools import ToolStatus
from kubiya_workers.settings.source import BadSetting

from .addresses import Reach
from .call import Call, Denied, Outcome, ToolFault
from .output import capped
from .searcher import is_binary

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_RESERVED = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READ_ONLY = frozenset({"GET", "HEAD"})
_CONNECT_S = 10.0
_HEADER_ROOM = 4096


@dataclass(frozen=True)
class _Request:
    method: str
    url: httpx.URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""


@dataclass(frozen=True)
class _Answer:
    status: int
    reason: str
    headers: httpx.Headers
    body: bytes
    truncated: bool


async def http_request(call: Call) -> Outcome:
    """`HTTP <status> <reason>`, the headers, and the body as far as it is text."""
    limits = HttpLimits.model_validate(call.spec.config)
    request = _first(call, limits)
    try:
        async with asyncio.timeout(call.spec.timeout_s):
            request, answer = await _follow(request, limits)
    except TimeoutError:
        error = f"timed out after {call.spec.timeout_s:g} s"
        return Outcome(f"{request.url.host} {error}.", {"timed_out": True}, ToolStatus.FAILED, error)
    except httpx.HTTPError as error:
        reason = refused.reason if (refused := distrust(error)) else error or type(error).__name__
        raise ToolFault(f"{request.url.host} could not be reached: {reason}.") from None
    except BadSetting as error:
        raise ToolFault(f"{request.url.host} could not be reached: {error}.") from None
    return _outcome(request, answer, call.spec.output_limit)


async def _follow(request: _Request, limits: HttpLimits) -> tuple[_Request, _Answer]:
    """Send, and follow redirects; the last request and its answer."""
    reach = Reach(limits.allow_hosts, limits.deny_hosts, limits.allow_private, limits.allow_link_local)
    for _ in range(limits.max_redirects + 1):
        answer = await _send(request, await _addresses(request.url, reach), limits.max_bytes)
        location = answer.headers.get("location") if answer.status in _REDIRECTS else None
        if location is None:
            return request, answer
        request = _redirected(request, answer.status, location)
        if request.method not in limits.methods:
            raise Denied(f"The server redirects to a {request.method}, which may not be sent here.")
    raise ToolFault(f"More than {limits.max_redirects} redirects; the last led to {request.url}.")


def _first(call: Call, limits: HttpLimits) -> _Request:
    method = call.arguments.get("method", limits.methods[0])
    headers = {name.lower(): _header(name, value) for name, value in call.arguments.get("headers", {}).items()}
    body = str(call.arguments.get("body", "")).encode()
    if "json" in call.arguments:
        body = json.dumps(call.arguments["json"]).encode()
        headers.setdefault("content-type", "application/json")
    if method not in _READ_ONLY:
        headers.setdefault("idempotency-key", call.idempotency_key)
    return _Request(method, _url(call.arguments["url"]), headers, body)


def _header(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(name) or name.lower() in _RESERVED:
        raise ToolFault(f"{name!r} is not a header that can be set. Leave it out.")
    if _BAD_VALUE.search(value):
        raise ToolFault(f"The header {name} contains line breaks or other characters that no header can hold.")
    return value


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ToolFault(f"{text[:200]!r} is not an address: {error}.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ToolFault(f"{text[:200]!r} is not an http or https address.")
    return url


def _redirected(request: _Request, status: int, location: str) -> _Request:
    """The next request: a GET unless the status says to repeat, and without credentials for another origin."""
    url = _url(str(request.url.join(_reference(location))))
    headers = dict(request.headers)
    if (url.scheme, url.host, url.port) != (request.url.scheme, request.url.host, request.url.port):
        headers = {name: value for name, value in headers.items() if name not in _PRIVATE}
    if status in (307, 308) or request.method in _READ_ONLY:
        return replace(request, url=url, headers=headers)
    headers = {name: value for name, value in headers.items() if not name.startswith(("content-", "idempotency-"))}
    return _Request("GET", url, headers)


def _reference(location: str) -> httpx.URL:
    try:
        return httpx.URL(location)
    except (httpx.InvalidURL, UnicodeError):
        raise ToolFault(f"The server redirects to {location[:200]!r}, which is not an address.") from None


async def _addresses(url: httpx.URL, reach: Reach) -> list[str]:
    reach.check_host(url.host)
    return await addresses_of(url.host, url.port, url.scheme, reach)


async def addresses_of(host: str, port: int | None, scheme: str, reach: Reach) -> list[str]:
    """Every address of the host; one that may not be reached forbids them all.

    Raises:
        ToolFault: there is no such host, or one of its addresses may not be reached.
    """
    port = port or (443 if scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ToolFault(f"The host {host} is not known: {error}. Check the address.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        reach.check_address(host, address)
    return addresses


async def _send(request: _Request, addresses: list[str], most: int) -> _Answer:
    """Over the first address that can be connected to."""
    for address in addresses[:-1]:
        try:
            return await _send_to(address, request, most)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await _send_to(addresses[-1], request, most)


async def _send_to(address: str, request: _Request, most: int) -> _Answer:
    url = request.url
    headers = {"user-agent": "kubiya", "accept": "*/*", "accept-encoding": "identity"} | dict(request.headers)
    headers["host"] = url.netloc.decode("ascii")
    async with (
        httpx.AsyncClient(
            trust_env=False, verify=verify(str(url)), timeout=httpx.Timeout(None, connect=_CONNECT_S)
        ) as client,
        client.stream(
            request.method,
            url.copy_with(host=address),
            headers=headers,
            content=request.body or None,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        ) as response,
    ):
        body, truncated = await _body(response, most)
        return _Answer(response.status_code, response.reason_phrase, response.headers, body, truncated)


async def _body(response: httpx.Response, most: int) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            return bytes(body[:most]), True
    return bytes(body), False


def _outcome(request: _Request, answer: _Answer, room: int) -> Outcome:
    text, left_out = capped(_text(answer), room)
    headers, _ = capped("\n".join(f"{name}: {value}" for name, value in answer.headers.items()), _HEADER_ROOM)
    output = {
        "status_code": answer.status,
        "url": str(request.url.copy_with(userinfo=b"")),
        "headers": dict(answer.headers.items()),
        "body": text,
        "truncated": answer.truncated or left_out > 0,
    }
    note = f"\n[… only the first {len(answer.body)} bytes were read …]" if answer.truncated else ""
    content = f"HTTP {answer.status} {answer.reason}".rstrip() + f"\n{headers}\n\n{text}{note}"
    if answer.status >= 400:
        return Outcome(content, output, ToolStatus.FAILED, f"HTTP {answer.status}")
    return Outcome(content, output)


def _text(answer: _Answer) -> str:
    if is_binary(answer.body[:8192]):
        return f"[a binary body of {len(answer.body)} bytes]"
    charset = httpx.Response(200, headers=answer.headers).charset_encoding or "utf-8"
    try:
        return answer.body.decode(charset, "replace")
    except LookupError:
        return answer.body.decode("utf-8", "replace")
