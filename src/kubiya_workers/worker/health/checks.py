"""What `/livez` and `/readyz` look at. Decisions only: what was seen comes in as values."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubiya_workers.contracts.pool import Check
from kubiya_workers.settings.quantities import show_size

from ..limits import MEMORY_FULL

LOOP_STANDS_AFTER_S = 10.0
LEAST_DISK = 64 * 1024**2


@dataclass(frozen=True)
class Vitals:
    """Ages in seconds, sizes in bytes; `poll_age` None before the first poll, `memory_limit` 0 without one."""

    loop_age: float
    poll_age: float | None
    unseen: bool
    """By a Temporal that answers."""
    memory: int
    memory_limit: int


@dataclass(frozen=True)
class Readiness:
    """`reason` is why it takes no work, `gateway` why that cannot be reached, `disk` the bytes that are left."""

    reason: str | None
    gateway: str | None
    disk: int | None


def alive(seen: Vitals) -> Sequence[Check]:
    """A process that fails one of these is to be started again. One that is still connecting fails none."""
    share = seen.memory / seen.memory_limit if seen.memory_limit else 0.0
    memory = show_size(seen.memory) + (f" of {show_size(seen.memory_limit)}" if seen.memory_limit else "")
    polled = "not yet" if seen.poll_age is None else f"{seen.poll_age:.1f} s ago"
    return (
        _check("event loop", seen.loop_age <= LOOP_STANDS_AFTER_S, f"turned {seen.loop_age:.1f} s ago"),
        _check("polling", not seen.unseen, f"seen by Temporal: {polled}"),
        _check("memory", share <= MEMORY_FULL, memory),
    )


def ready(seen: Readiness) -> Sequence[Check]:
    """While one of these fails, it takes no work, or would fail at it."""
    disk = "unknown" if seen.disk is None else f"{show_size(seen.disk)} free"
    return (
        _check("taking work", seen.reason is None, seen.reason or "registered and polling"),
        _check("gateway", seen.gateway is None, seen.gateway or "reachable"),
        _check("disk", seen.disk is None or seen.disk >= LEAST_DISK, disk),
    )


def _check(name: str, ok: bool, detail: str) -> Check:
    return Check(name=name, state="ok" if ok else "failed", detail=detail)
