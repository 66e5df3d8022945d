"""How much is measured: everything in minutes, or a first impression."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How often each thing is done."""

    runs: int
    """Single runs, one after the other, of ours and of bare Temporal."""
    crowd: int
    """Runs that are submitted together."""
    rounds: int
    """How often a crowd is measured."""
    tokens: int
    """Tokens of each of the streams that are read at once."""
    commands: int
    """Starts of a short command."""
    starts: int
    """Starts of a process that has to become ready."""
    kills: int
    calls: int
    """Model calls, direct and through the gateway."""
    idle_s: float
    watch_s: float
    """How long an idle process is watched."""
    many: int
    """Executions after which a worker's memory is looked at again."""


FULL = Effort(
    runs=150, crowd=200, rounds=3, tokens=400, commands=15, starts=5, kills=3, calls=500, idle_s=10.0, watch_s=30.0,
    many=1000,
)  # fmt: skip
QUICK = Effort(
    runs=40, crowd=100, rounds=1, tokens=150, commands=7, starts=2, kills=1, calls=150, idle_s=3.0, watch_s=10.0,
    many=300,
)  # fmt: skip
