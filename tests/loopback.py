"""A server of a test on loopback, that leaves no connection behind when the test is over."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """The port on which `serve` answers, with TLS where a context is given.

    At the end every connection is ended, also one whose client holds it open: what is left to the event loop's end is
    reported as leaked, in whichever test the collector runs next.
    """
    open_now: set[asyncio.Task[None]] = set()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            if not writer.is_closing():
                writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(conversation(reader, writer))
        open_now.add(task)
        task.add_done_callback(open_now.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        ending = list(open_now)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if tls is not None:
            await asyncio.sleep(0.05)  # handshakes that failed end by themselves, and tell nobody
        await asyncio.sleep(0)  # a closed transport lets go of its socket at the loop's next turn
        await asyncio.sleep(0)
