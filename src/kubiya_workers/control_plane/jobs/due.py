"""What is done about a schedule that is looked at now, perhaps long after it was due: a pure decision."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice, takewhile

from .schedule import Schedule

COUNTED = 10_000
"""So many missed times are counted one by one; a week of minutes. Beyond them, "at least"."""
LATE = timedelta(seconds=60)
"""From here on a firing is told as caught up: in time is what a busy control plane needs."""


@dataclass(frozen=True)
class Missed:
    """So many times that are given up, of which `last` is the newest."""

    count: int
    first: datetime
    last: datetime

    @property
    def told(self) -> str:
        if self.count == 1:
            return "no control plane ran when it was due"
        many = f"at least {self.count:,}" if self.count >= COUNTED else f"{self.count:,}"
        return f"no control plane ran when it was due: {many} times since {self.first:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Decision:
    """`fire` is the time for which it fires now; `next_at` when it is due again, None for never."""

    fire: datetime | None
    missed: Missed | None
    next_at: datetime | None


def decide(schedule: Schedule, next_at: datetime, now: datetime, catch_up: timedelta) -> Decision:
    """For a schedule that has been due at `next_at`, which is past.

    The newest time that is past fires, if it is no longer past than `catch_up`; all others were missed.
    """
    window = max(catch_up, LATE)
    past = list(islice(takewhile(lambda due: due <= now, chain([next_at], schedule.after(next_at))), COUNTED))
    if len(past) == COUNTED:  # what may still be caught up is not among them
        past += takewhile(lambda due: due <= now, schedule.after(max(past[-1], now - window)))
    newest = past[-1]
    fires = now - newest <= window
    missed = past[:-1] if fires else past
    return Decision(
        fire=newest if fires else None,
        missed=Missed(len(missed), missed[0], missed[-1]) if missed else None,
        next_at=schedule.next(max(now, newest)),
    )
