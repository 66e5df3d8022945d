"""What a measurement gives: samples, what they come to, and whether that keeps the budget."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table. `budget` is a bound on `value`: an upper one, or a lower one with `at_least`.

    `baseline` is what the same means without the product (bare Temporal, bare Python, the model asked directly), in
    the same unit; a figure whose unit is "×" is a ratio to it.
    """

    name: str
    value: float
    unit: str
    samples: int
    p99: float | None = None
    baseline: float | None = None
    budget: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def is_kept(self) -> bool | None:
        """Whether the budget is kept; None where there is none."""
        if self.budget is None:
            return None
        return self.value >= self.budget if self.at_least else self.value <= self.budget


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that `percent` of all samples do not exceed (nearest rank)."""
    rank = math.ceil(percent / 100 * len(samples))
    return sorted(samples)[max(0, rank - 1)]


def of_samples(
    name: str, unit: str, samples: Sequence[float], *, budget: float | None = None, note: str = ""
) -> Figure:
    """Median and p99 of samples, the budget on the median."""
    return Figure(name, median(samples), unit, len(samples), p99=percentile(samples, 99), budget=budget, note=note)
