"""A clear answer in place of a LiteLLM that is stopped: who calls would else wait in its socket's queue."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

HOW_TO_START = "start it on the page LLM Proxy of the web interface: kubiya ui"
STOPPED = "LiteLLM was stopped by a person"
_BACKLOG = 2048
_PATIENCE_S = 5.0
_PIECE = 64 * 1024
_MESSAGE = f"{STOPPED}; {HOW_TO_START}"
_BODY = json.dumps(
    {
        "error": {"message": _MESSAGE, "type": "server_error", "param": None, "code": "proxy_stopped"},
        "detail": _MESSAGE,
    }
).encode()
# A run is not failed by it: its call is made again, on this worker or another.
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 15\r\nConnection: close\r\n"
    b"Content-Length: " + str(len(_BODY)).encode() + b"\r\n\r\n" + _BODY
)


@asynccontextmanager
async def refusing(listening: socket.socket) -> AsyncGenerator[None]:
    """Each call that comes to the socket is answered 503 in OpenAI's shape, for as long as the context lasts."""
    answering: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        task.add_done_callback(answering.discard)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await _refuse(reader, writer)
        writer.close()

    server = await asyncio.start_server(answer, sock=listening.dup(), backlog=_BACKLOG)
    try:
        yield
    finally:
        server.close()
        if answering:  # who was taken is answered
            await asyncio.wait(answering, timeout=_PATIENCE_S)


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await reader.readuntil(b"\r\n\r\n")
    writer.write(_ANSWER)
    await writer.drain()
    writer.write_eof()
    # To the end of what it still sends: closed before, the connection would be reset, and the answer lost with it.
    while await reader.read(_PIECE):
        pass
