"""The gateway's side of HTTP: reading a request, writing an answer, and noticing that the client has left.

Plain ASGI, because every layer between a token and its reader is paid for once a token.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from kubiya_workers.contracts.errors import Refusal, TooLarge, TooManyRequests, Unauthorized

BODY_LIMIT = 32 * 1024 * 1024

RawHeaders = Sequence[tuple[bytes, bytes]]

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


def key_of(scope: Scope) -> str:
    """The key that a request bears, as `Bearer KEY` or `UserKey KEY`.

    Raises:
        Unauthorized: it bears none.
    """
    kind, _, key = Headers(scope=scope).get("authorization", "").strip().partition(" ")
    if kind.lower() not in ("bearer", "userkey") or not key.strip():
        raise Unauthorized("the request has no key", fix="send it as `Authorization: Bearer KEY`")
    return key.strip()


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is over 32 MiB; the rest of it is not read.
        ClientLeft: it broke off.
    """
    announced = Headers(scope=scope).get("content-length", "0")
    if announced.isdigit() and int(announced) > BODY_LIMIT:
        raise _too_large()
    parts, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_LIMIT:
            raise _too_large()
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> TooLarge:
    return TooLarge(f"the request is over {BODY_LIMIT // 1024 // 1024} MiB", fix="send a shorter conversation")


@asynccontextmanager
async def while_connected(receive: Receive, send: Send) -> AsyncGenerator[Send]:
    """Cancels the work inside as soon as the client leaves before its answer is whole, and raises ClientLeft then.

    Yields the `send` to answer with: after the last of its body a disconnect is no news, only the end.
    """
    work, left, whole = asyncio.current_task(), False, False
    assert work is not None

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        if not whole:
            left = True
            work.cancel()

    async def watched_send(message: Message) -> None:
        nonlocal whole
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            whole = True
        await send(message)

    watcher = asyncio.create_task(watch())
    try:
        yield watched_send
        if left:
            # The cancellation is on its way: take it here, not in whoever awaits next.
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        if not left or work.uncancel() > 0:
            raise
        raise ClientLeft from None
    finally:
        watcher.cancel()


async def send_whole(send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    await send_start(send, status, [*headers, (b"content-length", str(len(body)).encode())])
    await send({"type": "http.response.body", "body": body})


async def send_start(send: Send, status: int, headers: RawHeaders) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def send_json(send: Send, body: Any, status: int = 200, headers: RawHeaders = ()) -> None:
    await send_whole(send, status, [(b"content-type", b"application/json"), *headers], to_json(body))


def problem(status: int, message: str, code: str, **more: Any) -> dict[str, Any]:
    """An error body that OpenAI's clients and ours can both read."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    error = {"message": message, "type": kind, "param": None, "code": code}
    return {"error": error, "detail": message, "status": status, "code": code, **more}


async def send_refusal(send: Send, refusal: Refusal) -> None:
    wait = refusal.retry_after if isinstance(refusal, TooManyRequests) else None
    headers = [(b"retry-after", f"{wait:g}".encode())] if wait is not None else []
    message = f"{refusal.detail}; {refusal.fix}" if refusal.fix else refusal.detail
    body = problem(refusal.status, message, refusal.code, **({"fix": refusal.fix} if refusal.fix else {}))
    await send_json(send, body, refusal.status, headers)
