"""From the moment in which a model writes a token to the moment in which a reader of the stream has it."""

import asyncio
import json
import time
from contextlib import aclosing

from .effort import Effort
from .figures import Figure, percentile
from .installation import installation
from .wire import Api

STREAMS = 50
PER_SECOND = 50
BUDGET_P50_MS, BUDGET_P99_MS = 10.0, 50.0


async def measure(effort: Effort) -> list[Figure]:
    """One stream alone, then many at once; all of them are under way before the first token is written."""
    alone = await _lags(1, effort.tokens)
    together = await _lags(STREAMS, effort.tokens)
    what = f"token → reader, {STREAMS} streams of {PER_SECOND}/s"
    return [
        Figure("token → reader, one stream: p50", percentile(alone, 50), "ms", len(alone), p99=percentile(alone, 99)),
        Figure(f"{what}: p50", percentile(together, 50), "ms", len(together), budget=BUDGET_P50_MS),
        Figure(f"{what}: p99", percentile(together, 99), "ms", len(together), budget=BUDGET_P99_MS),
    ]


async def _lags(streams: int, tokens: int) -> list[float]:
    """How long each token of so many streams was on its way, in milliseconds."""
    with installation() as made:
        made.start_server(made.start_stamping_model(streams, tokens, PER_SECOND))
        made.start_worker()
        api = Api(made.url, made.key)
        lags = await asyncio.gather(*(read(api) for _ in range(streams)))
        await api.close()
    return [lag for stream in lags for lag in stream]


async def read(api: Api) -> list[float]:
    """Run once and read along; how long each token was on its way, in milliseconds."""
    lags: list[float] = []
    async with aclosing(api.events(await api.submit("ours"))) as events:
        async for kind, data in events:
            if kind == "message_chunk":
                lags += since(json.loads(data)["data"]["content"])
    return lags


def since(stamps: str) -> list[float]:
    """How long ago each of these tokens was written, in milliseconds."""
    now = time.monotonic_ns()
    return [(now - int(stamp)) / 1e6 for stamp in stamps.split()]
