"""A model whose tokens say when they were written; a process of its own.

    python -m benchmarks.stamping_model STREAMS TOKENS TOKENS_PER_SECOND

The streams begin together once there are as many as that, at even distances within the time of one token. A token is
the monotonic clock in nanoseconds, which all processes of a machine share, and a blank.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

from kubiya_workers.testing.scripted_http import Connection, Server

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_JSON_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
_SETTLE_S = 0.5
"""For the answers' heads to reach everybody before the first token."""


class Stamping:
    """Answers chat completions, `streams` at a time."""

    def __init__(self, streams: int, tokens: int, per_second: float) -> None:
        self._streams = streams
        self._tokens = tokens
        self._pause = 1 / per_second
        self._waiting: list[asyncio.Future[float]] = []

    def __call__(
        self, connection: Connection, path: str, headers: dict[str, str], body: bytes
    ) -> Coroutine[Any, Any, None] | None:
        if path.endswith("/models"):
            listed = json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]})
            connection.write(f"{_JSON_HEAD}{len(listed)}\r\n\r\n{listed}".encode())
            return None
        return self._stream(connection)

    async def _stream(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.write(_HEAD)
        begin = await self._turn(loop)
        for number in range(self._tokens):
            await asyncio.sleep(begin + number * self._pause - loop.time())
            connection.write(_chunk(f'{{"content":"{time.monotonic_ns()} "}}', "null"))
        connection.write(_chunk("{}", '"stop"') + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async def _turn(self, loop: asyncio.AbstractEventLoop) -> float:
        """When this stream begins, by the loop's clock."""
        turn: asyncio.Future[float] = loop.create_future()
        self._waiting.append(turn)
        if len(self._waiting) == self._streams:
            begin = loop.time() + _SETTLE_S
            for number, waiting in enumerate(self._waiting):
                waiting.set_result(begin + number * self._pause / self._streams)
            self._waiting = []
        return await turn


def _chunk(delta: str, finish: str) -> bytes:
    choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
    return _framed(f'data: {{"id":"c","object":"chat.completion.chunk","choices":[{choice}]}}\n\n'.encode())


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    server = Server(Stamping(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])), 0)
    server.start()
    print(f"http://127.0.0.1:{server.port}/v1", flush=True)
    threading.Event().wait()
