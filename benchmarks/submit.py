"""From submitting a run with one model call to its `done`, one run at a time."""

import time
from collections.abc import Awaitable, Callable

from .effort import Effort
from .figures import Figure, median, of_samples
from .side_by_side import pair

BUDGET = 2.0
_PER_TURN = 10


async def measure(effort: Effort) -> list[Figure]:
    ours: list[float] = []
    bare: list[float] = []
    async with pair() as both:
        while len(ours) < effort.runs:
            for run, samples in ((both.bare, bare), (both.ours, ours)):
                samples += [await _ms(run) for _ in range(_PER_TURN)]
    ratio = median(ours) / median(bare)
    return [
        of_samples("bare Temporal: start → result", "ms", bare),
        of_samples("submit → done", "ms", ours),
        Figure("submit → done, to bare Temporal", ratio, "×", len(ours), budget=BUDGET),
    ]


async def _ms(run: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await run()
    return (time.perf_counter() - began) * 1000
