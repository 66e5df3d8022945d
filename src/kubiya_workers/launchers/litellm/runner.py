"""What runs in LiteLLM's own environment: its proxy, on a socket that was handed over.

Run as a script by the Python of that environment, which has nothing of the package: what it shares with it is loaded
from its file, and stands on the standard library alone. Its arguments are two descriptors, the listening socket and
where to say that the proxy has started, and the file of the redaction. What it serves is in its environment
(CONFIG_FILE_PATH, LITELLM_MASTER_KEY); what no error that it passes on may quote comes on its standard input: a list of
texts, in JSON. SIGTERM lets the calls that run end, and takes no others.
"""

import asyncio
import importlib
import importlib.util
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import uvicorn

_DRAIN_S = 600
_HEARD_S = 1.0
"""How long a connection that was taken just before the end may need to say what it wants."""
_ACCEPTED_S = 0.05
"""How long the event loop may need for a connection that it has taken off the socket's queue."""


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: int) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: "list[socket.socket] | None" = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and not self.should_exit:
            os.write(self._ready, b"ready\n")
            os.close(self._ready)

    async def shutdown(self, sockets: "list[socket.socket] | None" = None) -> None:
        """Hear those out that were taken: uvicorn closes a connection without a request, also when one is on its way.

        Those that nobody has taken wait at the socket for a successor.
        """
        for server in self.servers:
            server.close()
        await asyncio.sleep(_ACCEPTED_S)
        until = asyncio.get_running_loop().time() + _HEARD_S
        while any(map(_unheard, self.server_state.connections)):
            if asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(0.01)
        await super().shutdown(sockets=sockets)


def _unheard(connection: object) -> bool:
    return getattr(connection, "cycle", connection) is None


Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class WithoutSecrets:
    """An ASGI application whose errors quote no secret: providers repeat the key that they refuse, and LiteLLM passes
    their words on. An error is a status of 400 or more, or an `"error"` in a stream."""

    def __init__(self, app: Callable[..., Awaitable[None]], redaction: ModuleType, secrets: list[str]) -> None:
        self._app = app
        self._redaction = redaction
        self._redactor = redaction.Redactor(secrets)

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        await self._app(scope, receive, self._redacted(send) if scope["type"] == "http" else send)

    def _redacted(self, send: Send) -> Send:
        by_kind: dict[str, Send] = {}

        async def redacted(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    by_kind["http.response.body"] = self._whole(message, send)
                    return
                if dict(message["headers"]).get(b"content-type", b"").startswith(b"text/event-stream"):
                    by_kind["http.response.body"] = self._streamed(send)
            await by_kind.get(message["type"], send)(message)

        return redacted

    def _streamed(self, send: Send) -> Send:
        errors = self._redaction.ErrorRedactor(self._redactor)

        async def streamed(message: Message) -> None:
            body = errors.feed(message.get("body", b""))
            await send({**message, "body": body if message.get("more_body") else body + errors.close()})

        return streamed

    def _whole(self, start: Message, send: Send) -> Send:
        parts: list[bytes] = []

        async def whole(message: Message) -> None:
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                text = self._redactor.text(b"".join(parts).decode("utf-8", "surrogateescape"))
                await _send_whole(send, start, text.encode("utf-8", "surrogateescape"))

        return whole


async def _send_whole(send: Send, start: Message, body: bytes) -> None:
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _loaded(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("redaction", file)
    assert spec is not None and spec.loader is not None  # it names a file of Python
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    listening, ready = map(int, sys.argv[1:3])
    secrets = json.load(sys.stdin)
    app = importlib.import_module("litellm.proxy.proxy_server").app
    config = uvicorn.Config(
        WithoutSecrets(app, _loaded(sys.argv[3]), secrets),
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    Server(config, ready).run(sockets=[socket.socket(fileno=listening)])


if __name__ == "__main__":
    main()
