"""What a worker costs while it has nothing to do, and whether its memory grows with what it has done."""

import asyncio
import time

import psutil

from .effort import Effort
from .figures import Figure
from .installation import Spawned, installation
from .wire import Api

IDLE_PERCENT, GROWTH = 1.0, 1.1
WARM, AT_ONCE = 100, 25


async def measure(effort: Effort) -> list[Figure]:
    with installation() as made:
        made.start_server(made.start_model())
        worker = made.start_worker()
        api = Api(made.url, made.key)
        await _runs(api, WARM)
        idle = await _percent_of_a_core(worker, effort.watch_s)
        early = _megabytes(worker)
        await _runs(api, effort.many - WARM)
        await asyncio.sleep(effort.idle_s)
        late = _megabytes(worker)
        await api.close()
    return [
        Figure("worker, idle", idle, "% of a core", 1, budget=IDLE_PERCENT, note=f"over {effort.watch_s:.0f} s"),
        Figure(f"worker after {WARM} executions", early, "MB", 1),
        Figure(
            f"worker after {effort.many} executions", late / early, "×", 1, budget=GROWTH, note=f"{late:.0f} MB"
        ),
    ]  # fmt: skip


async def _runs(api: Api, count: int) -> None:
    """So many executions, a few at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with room:
            await api.run("ours")

    await asyncio.gather(*(one() for _ in range(count)))


async def _percent_of_a_core(worker: Spawned, seconds: float) -> float:
    process = psutil.Process(worker.process.pid)
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    return 100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def _megabytes(worker: Spawned) -> float:
    return psutil.Process(worker.process.pid).memory_info().rss / 1e6
