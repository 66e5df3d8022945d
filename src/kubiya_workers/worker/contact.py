"""Whether the two servers that a worker depends on still answer, and whether its own event loop still turns.

Two leases follow from it. Without Temporal for `TEMPORAL_LEASE_S`, running steps are given up here before the server
gives them to another worker (its heartbeat time-out is longer). Without the control plane for two heartbeats, the
worker stops taking work, before the control plane counts it as lost after three.
"""

import time
from dataclasses import dataclass, field

TEMPORAL_LEASE_S = 5.0
CONTROL_PLANE_LEASE_BEATS = 2
DEAF_AFTER_S = 30.0


@dataclass
class Contact:
    """The moments of the last good answers, on the monotonic clock. Written by one thread each, read by any."""

    heartbeat_interval: float
    temporal: float = field(default_factory=time.monotonic)
    control_plane: float = field(default_factory=time.monotonic)
    polled: float | None = None
    """When the server last confirmed that we poll; None while we do not mean to."""
    loop: float = field(default_factory=time.monotonic)

    def temporal_lease_is_over(self, now: float) -> bool:
        return now - self.temporal > TEMPORAL_LEASE_S

    def control_plane_lease_is_over(self, now: float) -> bool:
        return now - self.control_plane > CONTROL_PLANE_LEASE_BEATS * self.heartbeat_interval

    def loop_lag(self, now: float) -> float:
        """Seconds since the event loop last turned."""
        return now - self.loop

    def is_deaf(self, now: float) -> bool:
        """Whether this worker lives but does not work: its loop stands, or the server has not seen it poll."""
        return self.loop_lag(now) > DEAF_AFTER_S or (self.poll_age(now) or 0.0) > DEAF_AFTER_S

    def is_unseen(self, now: float) -> bool:
        """Whether the server answers, and yet has not seen this worker poll: a new start may mend that.

        Where the server does not answer at all, none would.
        """
        return not self.temporal_lease_is_over(now) and (self.poll_age(now) or 0.0) > DEAF_AFTER_S

    def poll_age(self, now: float) -> float | None:
        """Seconds since the server last confirmed that we poll; None while we do not mean to."""
        polled = self.polled  # another thread may take it away
        return None if polled is None else now - polled
