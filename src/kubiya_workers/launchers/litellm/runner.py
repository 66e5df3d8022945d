"""What runs in LiteLLM's own environment: its proxy, on a socket that was handed over.

Run as a script by the Python of that environment, so it imports nothing of the package. Its arguments are two
descriptors: the listening socket, and where to say that the proxy has started. What it serves is in its environment
(CONFIG_FILE_PATH, LITELLM_MASTER_KEY). SIGTERM lets the calls that run end, and takes no others.
"""

import asyncio
import os
import socket
import sys

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


def main() -> None:
    listening, ready = map(int, sys.argv[1:3])
    config = uvicorn.Config(
        "litellm.proxy.proxy_server:app",
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    Server(config, ready).run(sockets=[socket.socket(fileno=listening)])


if __name__ == "__main__":
    main()
