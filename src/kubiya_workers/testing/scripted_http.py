"""The smallest HTTP/1.1 server that a scripted model needs, on an event loop in a thread of its own.

Bytes are written to the socket as they are made, which a framework would not promise, and a connection can be broken
on purpose in the middle of an answer, which a framework would not allow.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import httptools


class Answerer(Protocol):
    """What answers: called on the server's loop for each whole request; a coroutine it returns is run as a task."""

    def __call__(
        self, connection: "Connection", path: str, headers: dict[str, str], body: bytes
    ) -> Coroutine[Any, Any, None] | None: ...


class Connection(asyncio.Protocol):
    """One client's connection: requests in turn, each answered by `write` and `finish`, or broken by `abort`."""

    def __init__(self, answer: Answerer) -> None:
        self._answer = answer
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._begin()
        self.on_gone: Callable[[], None] = _nothing

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._path, self._headers, self._body = "", dict[str, str](), bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def on_url(self, url: bytes) -> None:
        self._path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        path, headers, body = self._path, self._headers, bytes(self._body)
        self._begin()
        work = self._answer(self, path, headers, body)
        if work is not None:
            self._task = asyncio.get_running_loop().create_task(work)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        self.on_gone()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Break the connection now."""
        if self._transport is not None:
            self._transport.close()


def _nothing() -> None: ...


class Server:
    """A listening socket on loopback and the thread that serves it.

    Raises (on `start`):
        OSError: the port is taken.
    """

    def __init__(self, answer: Answerer, port: int) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._connections: set[Connection] = set()
        self._thread = threading.Thread(target=self._run, name="scripted-model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and join the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
        self._socket.close()

    def _accept(self) -> Connection:
        connection = Connection(self._answer)
        self._connections.add(connection)
        connection.on_gone = lambda: self._connections.discard(connection)
        return connection

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(self._accept, sock=self._socket))
        loop.run_forever()
        server.close()
        for connection in list(self._connections):
            connection.abort()
        loop.run_until_complete(_settle())
        loop.close()


async def _settle() -> None:
    """Let the closing transports say so, and end the answers that were still going on."""
    await asyncio.sleep(0)
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.sleep(0)
