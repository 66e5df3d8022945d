"""Whether the wall clock can be trusted. It is set by people and time servers, and stands still while a laptop sleeps;
heartbeats are dated by it, because several control planes share them.
"""

from datetime import datetime, timedelta

JUMP = timedelta(seconds=5)
"""A difference between the clocks that no drift explains."""


class WatchedClock:
    """Compares the wall clock with the monotonic one each time that it is asked."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None
        self._jumped_at: float | None = None

    def steady_for(self, wall: datetime, monotonic: float) -> timedelta:
        """For how long the wall clock has not jumped; `timedelta.max` while it never did. `monotonic` in seconds."""
        if self._last is not None:
            then, began = self._last
            if abs((wall - then) - timedelta(seconds=monotonic - began)) > JUMP:
                self._jumped_at = monotonic
        self._last = wall, monotonic
        return timedelta.max if self._jumped_at is None else timedelta(seconds=monotonic - self._jumped_at)
