"""The way to Temporal for workers that cannot reach it: its bytes inside a WebSocket, behind the API's own TLS.

The embedded Temporal asks nobody who he is, so that it listens on loopback alone. Whoever comes this way has shown the
token of a registered worker, and is shown the door once that is revoked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from kubiya_workers.client.relay import PIECE, until_one_ends
from kubiya_workers.contracts.errors import Forbidden, Unauthorized, Unavailable

RECHECK_S = 15.0
"""So long a revoked token may keep what it has opened."""

Check = Callable[[], Awaitable[object]]
"""Raises `Unauthorized` or `Forbidden` when the caller may not be here any more."""


async def carry(websocket: WebSocket, address: str, check: Check) -> None:
    """Take what comes from the worker to `address` (host:port), and back, until one of them leaves.

    Raises:
        Unavailable: nothing answers there; the connection is not accepted yet.
    """
    host, _, port = address.rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:
        raise Unavailable(f"Temporal does not answer: {error}") from error
    try:
        await websocket.accept()
        ways = (_inwards(websocket, writer), _outwards(reader, websocket), _until_refused(check))
        await until_one_ends(*ways, broken=(OSError, WebSocketDisconnect))
    finally:
        writer.close()
    if websocket.client_state is WebSocketState.CONNECTED:
        with suppress(OSError, RuntimeError, WebSocketDisconnect):  # it may leave at this very moment
            await websocket.close()


async def _inwards(websocket: WebSocket, writer: asyncio.StreamWriter) -> None:
    while (piece := (await websocket.receive()).get("bytes")) is not None:
        writer.write(piece)
        await writer.drain()


async def _outwards(reader: asyncio.StreamReader, websocket: WebSocket) -> None:
    while piece := await reader.read(PIECE):
        await websocket.send_bytes(piece)


async def _until_refused(check: Check) -> None:
    while True:
        await asyncio.sleep(RECHECK_S)
        try:
            await check()
        except (Unauthorized, Forbidden):
            return
        except Unavailable:
            continue  # the database is away: nobody is thrown out for that
