"""What becomes of a worker that has ended. Decided from values: times and chance are passed in."""

from dataclasses import dataclass

from kubiya_workers.contracts.pool import Mode, UpkeepState

FIRST_S = 1.0
LONGEST_S = 60.0
JITTER = 0.2
"""The share of a wait that chance takes away: supervisors of many hosts must not come back in step."""
HEALTHY_S = 300.0
"""Seconds of health after which crashes are forgotten."""
LOOPING_AFTER = 10


@dataclass(frozen=True)
class Ended:
    """How a worker ended. `healthy` is for how many seconds it had polled, `ever_ready` whether any of this keeper's
    workers did; `told` that somebody wanted its end, `asked` that somebody wanted another in its place; `unfit` why the
    keeper itself ended it."""

    status: int
    healthy: float
    ever_ready: bool
    told: bool = False
    asked: bool = False
    unfit: str | None = None
    last_words: str = ""


@dataclass(frozen=True)
class Over:
    """It is not started again."""

    state: UpkeepState
    reason: str


@dataclass(frozen=True)
class Again:
    """It is started again in `wait` seconds; `crashes` in a row so far, this one included."""

    wait: float
    crashes: int
    reason: str
    crash: bool
    asked: bool = False
    """A person wanted it: it is nothing to worry about."""

    @property
    def looping(self) -> bool:
        return self.crashes >= LOOPING_AFTER


def after(ended: Ended, crashes: int, mode: Mode, chance: float, *, once: bool = False) -> Over | Again:
    """What follows a worker's end; `crashes` in a row before it, `chance` from 0 to 1.

    Status 0 is the end: it was told to, or its job is done. A worker that never polled failed to start, and whoever
    starts it hears why. In the foreground a person sees the end and decides. One that is to take an execution `once`
    says with status 1 how that went.
    """
    if ended.told or (ended.status == 0 and ended.unfit is None and not ended.asked):
        return Over(UpkeepState.STOPPED, "it was told to end" if ended.told else "it ended by itself with status 0")
    if ended.asked:
        return Again(0.0, 0, "it was asked to", crash=False, asked=True)
    reason = ended.unfit or _death(ended)
    if mode is Mode.FOREGROUND or not ended.ever_ready or (once and ended.status == 1):
        return Over(UpkeepState.FAILED, reason)
    counted = 1 if ended.healthy >= HEALTHY_S else crashes + 1
    return Again(wait_before(counted, chance), counted, reason, crash=ended.unfit is None)


def wait_before(crashes: int, chance: float) -> float:
    """Seconds to wait after so many crashes in a row: 1 s doubling to 60 s, less up to a fifth by chance."""
    longest = min(LONGEST_S, FIRST_S * 2.0 ** min(crashes - 1, 10))
    return longest * (1.0 - JITTER * chance)


def _death(ended: Ended) -> str:
    how = f"was killed by signal {-ended.status}" if ended.status < 0 else f"ended with status {ended.status}"
    return f"it {how}" + (f": {ended.last_words}" if ended.last_words else "")
