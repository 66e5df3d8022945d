"""What a worker's limits come to: how much it takes at once, and when it has done enough."""

from dataclasses import dataclass

from kubiya_workers.settings.worker import WorkerSettings

CALLS_PER_CPU = 10
BASE_MEMORY = 128 * 1024**2
"""Bytes that a worker takes before its first call."""
CALL_MEMORY = 32 * 1024**2
"""Bytes that a call is reckoned with, its tool included."""
MEMORY_FULL = 0.9
"""The share of MEMORY_LIMIT at which a worker's own memory makes it unfit: it is ended before the limit kills it."""


def fitting(wanted: int, *, memory: int, cpu: float) -> int:
    """How many calls at once fit into the limits (bytes, CPUs; 0 is no limit): at least one, at most `wanted`."""
    by_cpu = int(cpu * CALLS_PER_CPU) if cpu else wanted
    by_memory = (memory - BASE_MEMORY) // CALL_MEMORY if memory else wanted
    return max(1, min(wanted, by_cpu, by_memory))


@dataclass(frozen=True)
class Done:
    """What a worker has done so far; times in seconds."""

    tasks: int
    running: int
    uptime: float
    idle: float
    """Since its last step ended, or since it began to poll."""


def enough(settings: WorkerSettings, done: Done) -> str | None:
    """Why a worker has done enough; None while it has not."""
    if settings.max_tasks and done.tasks >= settings.max_tasks:
        return f"{done.tasks} tasks done of at most {settings.max_tasks}"
    if settings.max_uptime and done.uptime >= settings.max_uptime:
        return f"up for {done.uptime:.0f} s of at most {settings.max_uptime}"
    if settings.idle_timeout and not done.running and done.idle >= settings.idle_timeout:
        return f"nothing to do for {done.idle:.0f} s"
    return None
