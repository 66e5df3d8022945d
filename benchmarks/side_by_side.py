"""One control plane with its Temporal, one worker of ours on it and one bare worker, ready and warm."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client

from . import bare
from .installation import installation
from .wire import Api

QUEUE = "ours"
_WARM_UP = 30


@dataclass(frozen=True)
class Pair:
    """The two ways to run something that takes no time."""

    api: Api
    client: Client

    async def ours(self) -> None:
        """Submit through the public API, and follow the stream to `done`."""
        await self.api.run(QUEUE)

    async def bare(self) -> None:
        """Start a workflow and wait for its result."""
        await bare.run_once(self.client)


@asynccontextmanager
async def pair() -> AsyncGenerator[Pair]:
    with installation() as made:
        made.start_server(made.start_model())
        made.start_worker(QUEUE)
        made.start_bare_worker()
        both = Pair(Api(made.url, made.key), await Client.connect(made.temporal))
        for _ in range(_WARM_UP // 10):
            await asyncio.gather(*(both.ours() for _ in range(10)), *(both.bare() for _ in range(10)))
        yield both
        await both.api.close()
