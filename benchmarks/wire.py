"""The public API and its event streams at the least cost to the caller: HTTP/1.1 over plain sockets.

An ordinary HTTP client spends about a millisecond of processor on a request; with the product, Temporal and the
client on the same two cores that would be a good part of the figure.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

_RUN_WITHIN_S = 60.0
"""No measurement has a run that takes longer, unless it hangs."""


class Refused(Exception):
    """The server answered with an error."""


class Api:
    """Connections that are used again, as many as there are callers at once."""

    def __init__(self, url: str, key: str) -> None:
        split = urlsplit(url)
        self._host, self._port = split.hostname or "127.0.0.1", split.port or 80
        self._head = f"host: {split.netloc}\r\nauthorization: Bearer {key}\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer.

        Raises:
            Refused: the status is not 200.
        """
        reader, writer = await self._connection()
        head = f"POST {path} HTTP/1.1\r\n{self._head}content-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status, headers = await _head(reader)
        answer = b"".join([part async for part in _body(reader, headers)])
        self._idle.append((reader, writer))
        if status != 200:
            raise Refused(f"{path}: {status} {answer[:300]!r}")
        return answer

    async def events(self, execution_id: str) -> AsyncGenerator[tuple[str, bytes]]:
        """The type and the data of each event of a run, up to and with `done`."""
        reader, writer = await self._connection()
        path = f"/api/v1/executions/{execution_id}/stream"
        writer.write(f"GET {path} HTTP/1.1\r\n{self._head}accept: text/event-stream\r\n\r\n".encode())
        status, headers = await _head(reader)
        if status != 200:
            raise Refused(f"{path}: {status}")
        rest = b""
        async for part in _body(reader, headers):
            *blocks, rest = (rest + part).split(b"\n\n")
            for block in blocks:
                if event := _event(block):
                    yield event
        self._idle.append((reader, writer))

    async def chat(self, prompt: str = "Say something.") -> AsyncGenerator[str]:
        """The pieces of a model's streamed answer, as they come."""
        body = {"model": "scripted", "stream": True, "messages": [{"role": "user", "content": prompt}]}
        data = json.dumps(body).encode()
        reader, writer = await self._connection()
        head = f"POST /v1/chat/completions HTTP/1.1\r\n{self._head}content-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        status, headers = await _head(reader)
        if status != 200:
            raise Refused(f"chat: {status}")
        rest = b""
        async for part in _body(reader, headers):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.startswith(b"data: {") and (piece := _piece(json.loads(line[6:]))):
                    yield piece
        self._idle.append((reader, writer))

    async def submit(self, queue: str, prompt: str = "Say something.") -> str:
        """Start a run of the default agent; its id."""
        body = json.dumps({"prompt": prompt, "worker_queue_id": queue}).encode()
        return json.loads(await self.post("/api/v1/agents/default/execute", body))["execution_id"]

    async def run(self, queue: str) -> dict[str, Any]:
        """Submit, and follow the stream to its end; the data of `done`.

        Raises:
            Refused: the run did not complete.
            TimeoutError: it did not end.
        """
        execution_id = await self.submit(queue)
        last = b"{}"
        async with asyncio.timeout(_RUN_WITHIN_S), aclosing(self.events(execution_id)) as events:
            async for _kind, data in events:
                last = data
        done = json.loads(last)
        if done.get("status") != "completed":
            raise Refused(f"the run {execution_id} ended with {done}")
        return done

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():  # the server ends those that are idle for long
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
    return int(first.split(b" ")[1]), headers


async def _body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> AsyncGenerator[bytes]:
    """The body in the pieces in which it was sent."""
    if b"content-length" in headers:
        yield await reader.readexactly(int(headers[b"content-length"]))
        return
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


def _piece(chunk: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


def _event(block: bytes) -> tuple[str, bytes] | None:
    fields = {name: value for name, _, value in (line.partition(b": ") for line in block.split(b"\n"))}
    return (fields[b"event"].decode(), fields[b"data"]) if b"data" in fields else None
