"""The worker's way to Temporal: straight, or, to one that only its control plane reaches, through that.

    SDK ──CONNECT──▶ a port of this process ══WebSocket, TLS══▶ control plane ──▶ Temporal

The SDK speaks to proxies in the clear alone; so it is given one in this process. Other users of this machine find the
port, and not the password that it asks for.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError
from temporalio.service import HttpConnectProxyConfig

from kubiya_workers.client.relay import PIECE, until_one_ends
from kubiya_workers.client.temporal_proxy import tunnel
from kubiya_workers.client.trust import distrust, tls
from kubiya_workers.contracts.errors import REFUSALS, Refusal, Unavailable
from kubiya_workers.contracts.problems import Problem
from kubiya_workers.contracts.workers import Registered
from kubiya_workers.launchers.ports import LOOPBACK
from kubiya_workers.observability import logs
from kubiya_workers.settings.proxies import Proxies, is_loopback

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_USER = "worker"
_HEAD_S = 5.0
_OPEN_S = 10.0
_CLOSE_S = 1.0
"""A link that is gone must not keep a worker from registering anew."""

log = logs.get(__name__)


@asynccontextmanager
async def way_to_temporal(registered: Registered, proxies: Proxies) -> AsyncGenerator[HttpConnectProxyConfig | None]:
    """What the SDK is told of the way, for as long as it is to be open; None when it goes there directly.

    Raises:
        Refusal: the control plane does not let us through, or cannot be reached.
    """
    if not registered.temporal_tunnel or is_loopback(urlsplit(registered.control_plane_url).hostname or ""):
        yield tunnel(registered.temporal_host, proxies)
        return
    passage = Passage(registered, proxies)
    await passage.check()
    log.info("Temporal is reached through the control plane", control_plane=registered.control_plane_url)
    async with passage.open() as through:
        yield through


class Passage:
    """A proxy on loopback, for this process, whose every connection goes through the control plane.

    Raises, when it is made:
        BadSetting: the certificate authorities to trust cannot be read.
    """

    def __init__(self, registered: Registered, proxies: Proxies) -> None:
        self._url = registered.control_plane_url
        self._token = registered.worker_token
        parts = urlsplit(self._url)
        secure = parts.scheme == "https"
        self._tls = tls() if secure else None
        self._proxy = proxies.url_towards(parts.hostname or "", secure=secure)
        self._password = secrets.token_urlsafe(32)
        self._open: set[asyncio.Task[None]] = set()
        self._said = ""

    async def check(self) -> None:
        """Go through once, so that what is in the way is said at once and in words.

        Raises:
            Refusal: something is.
        """
        async with self._through():
            pass

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[HttpConnectProxyConfig]:
        server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        try:
            port = server.sockets[0].getsockname()[1]
            yield HttpConnectProxyConfig(f"{LOOPBACK}:{port}", (_USER, self._password))
        finally:
            server.close()
            ending = list(self._open)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.exceptions import ConnectionClosed as gone

        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            if not self._may_pass(head):
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            async with self._through() as there:
                self._said = ""
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await until_one_ends(_outwards(reader, there), _inwards(there, writer), broken=(OSError, gone))
        except Refusal as refusal:
            if refusal.detail != self._said:  # the SDK tries again and again
                log.warning("No way to Temporal", reason=refusal.detail, fix=refusal.fix)
            self._said = refusal.detail
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever came has left, or was none of ours
        finally:
            writer.close()

    def _may_pass(self, head: bytes) -> bool:
        wanted = base64.b64encode(f"{_USER}:{self._password}".encode())
        shown = [line.split()[-1] for line in head.splitlines() if line.lower().startswith(b"proxy-authorization:")]
        return any(hmac.compare_digest(one, wanted) for one in shown)

    @asynccontextmanager
    async def _through(self) -> AsyncGenerator["ClientConnection"]:
        """A connection to Temporal, by way of the control plane.

        Raises:
            Refusal: there is none.
        """
        from websockets.asyncio.client import connect  # few workers need it
        from websockets.exceptions import WebSocketException

        address = f"ws{self._url.removeprefix('http').rstrip('/')}/api/v1/temporal"
        try:
            connection = await connect(
                address,
                ssl=self._tls,
                additional_headers={"Authorization": f"Bearer {self._token}"},
                compression=None,
                proxy=self._proxy,
                open_timeout=_OPEN_S,
                close_timeout=_CLOSE_S,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise _refusal(self._url, error) from error
        try:
            yield connection
        finally:
            await connection.close()


async def _outwards(reader: asyncio.StreamReader, there: "ClientConnection") -> None:
    while piece := await reader.read(PIECE):
        await there.send(piece)


async def _inwards(there: "ClientConnection", writer: asyncio.StreamWriter) -> None:
    async for piece in there:
        if isinstance(piece, bytes):
            writer.write(piece)
            await writer.drain()


def _refusal(url: str, error: Exception) -> Refusal:
    """What is in the way, in words; where the control plane itself refused us, its own."""
    from websockets.exceptions import InvalidStatus

    what = f"Temporal cannot be reached through the control plane at {url}"
    if isinstance(error, InvalidStatus):
        return _of_answer(what, error.response.status_code, error.response.body or b"")
    if (distrusted := distrust(error)) is not None:
        return Unavailable(f"{what}: {distrusted.reason}", fix=distrusted.fix)
    reason = f"no answer within {_OPEN_S:.0f} s" if isinstance(error, TimeoutError) else str(error)
    return Unavailable(f"{what}: {reason}", fix="Check the network between this machine and the control plane.")


def _of_answer(what: str, status: int, body: bytes | bytearray) -> Refusal:
    try:
        problem = Problem.model_validate_json(bytes(body))
    except ValidationError:
        fix = "A proxy in front of it must pass WebSockets on, for /api/v1/temporal at least."
        return Unavailable(f"{what}: HTTP {status}", fix=fix)
    return REFUSALS.get(status, Unavailable)(f"{what}: {problem.detail}", fix=problem.fix)
