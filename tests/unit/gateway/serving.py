"""The gateway behind a real HTTP server on loopback, as the control plane mounts it."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette

from kubiya_workers.contracts.errors import Unauthorized
from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.gateway import Answered, Gateway, Result, router
from kubiya_workers.settings.server import GatewaySettings

KEY = "worker-token"
NOWHERE = "http://127.0.0.1:9"
"""The discard port: nothing listens there, so that no test finds an Ollama of this machine."""


@dataclass
class Records:
    """A meter that keeps what it is told."""

    calls: list[tuple[str, Usage]] = field(default_factory=list)
    ended: list[Answered] = field(default_factory=list)

    async def admit(self, caller: Caller) -> None:
        pass

    async def record(self, caller: Caller, answered: Answered) -> None:
        assert caller.name == "worker" and answered.latency_ms > 0
        self.ended.append(answered)
        if answered.outcome.result is not Result.CLIENT_LEFT:
            self.calls.append((answered.model, answered.outcome.usage))

    @property
    def results(self) -> list[tuple[str, str, str]]:
        """Of each call: the name that was asked for, who was asked, and how it ended."""
        return [(one.asked, one.upstream, one.outcome.result.value) for one in self.ended]


async def authenticate(key: str) -> Caller:
    if key != KEY:
        raise Unauthorized("the key is not known")
    return Caller(key_id=KeyId("k"), name="worker", scope=Scope.WORKER)


def settings(base_url: str | None = None, **more: str | None) -> GatewaySettings:
    return GatewaySettings(base_url=base_url, **{"ollama_host": NOWHERE, **more})  # type: ignore[arg-type]


@contextmanager
def serving(wanted: GatewaySettings, meter: Records | None = None, *, read_timeout_s: float = 30.0) -> Iterator[str]:
    """The base address of the server, without `/v1`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        gateway = Gateway(wanted, read_timeout_s=read_timeout_s)
        app.mount("/v1", router(gateway, authenticate, meter))
        await gateway.start()
        yield
        await gateway.close()

    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(Starlette(lifespan=lifespan), log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


__all__ = ["KEY", "Records", "serving", "settings"]
