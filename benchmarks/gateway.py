"""What the gateway adds to a model call that it only forwards: the same call, direct and through it, in turns."""

import json
import time

from .effort import Effort
from .figures import Figure, median, percentile
from .installation import installation
from .wire import Api

BUDGET_MS = 1.5
_WARM_UP = 20


async def measure(effort: Effort) -> list[Figure]:
    with installation() as made:
        model = made.start_model()
        made.start_server(model)
        direct, through = Api(model, "none"), Api(made.url, made.key)
        for _ in range(_WARM_UP):
            await ms(direct, stream=True)
            await ms(through, stream=True)
        figures = [
            figure for stream in (False, True) for figure in await compared(direct, through, stream, effort.calls)
        ]
        await direct.close()
        await through.close()
    return figures


async def compared(
    direct: Api, through: Api, stream: bool, calls: int, *, what: str = "gateway", budget: float | None = BUDGET_MS
) -> list[Figure]:
    alone: list[float] = []
    passed: list[float] = []
    for _ in range(calls):
        alone.append(await ms(direct, stream=stream))
        passed.append(await ms(through, stream=stream))
    kind = "streamed" if stream else "whole"
    added, baseline = median(passed) - median(alone), median(alone)
    return [
        Figure(
            f"{what}, {kind} answer: added at p50",
            added,
            "ms",
            len(passed),
            p99=percentile(passed, 99) - percentile(alone, 99),
            baseline=baseline,
            budget=budget,
            note=f"{baseline:.2f} ms when asked directly",
        )
    ]


async def ms(api: Api, *, stream: bool) -> float:
    body = {"model": "scripted", "stream": stream, "messages": [{"role": "user", "content": "Say something."}]}
    data = json.dumps(body).encode()
    began = time.perf_counter()
    await api.post("/v1/chat/completions", data)
    return (time.perf_counter() - began) * 1000
