"""Executions per second of one worker, with the control plane, Temporal, the model and the client on this machine."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from .effort import Effort
from .figures import Figure, median
from .side_by_side import pair

BUDGET = 0.5
AT_ONCE = 50


async def measure(effort: Effort) -> list[Figure]:
    ours: list[float] = []
    bare: list[float] = []
    async with pair() as both:
        for _ in range(effort.rounds):
            bare.append(await _per_second(both.bare, effort.crowd))
            ours.append(await _per_second(both.ours, effort.crowd))
    note = f"{effort.crowd} runs, {AT_ONCE} at once, {effort.rounds} rounds"
    samples = effort.crowd * effort.rounds
    return [
        Figure("bare Temporal: workflows per second", median(bare), "/s", samples, note=note),
        Figure("executions per second", median(ours), "/s", samples, note=note),
        Figure(
            "executions per second, to bare Temporal",
            median(ours) / median(bare),
            "×",
            samples,
            budget=BUDGET,
            at_least=True,
        ),
    ]


async def _per_second(run: Callable[[], Awaitable[None]], count: int) -> float:
    left = iter(range(count))

    async def one_after_the_other() -> None:
        for _ in left:
            await run()

    began = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - began)
