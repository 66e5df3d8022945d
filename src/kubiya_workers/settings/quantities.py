"""Amounts as Kubernetes and people write them: `2Gi`, `1000m`, `90s`."""

import re
from collections.abc import Callable

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([A-Za-z]*)", re.ASCII)
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_SIZES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, **_BINARY}
_CPUS = {"": 1.0, "m": 0.001}
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def size(low: int, high: int) -> Callable[[str], int]:
    """A parser of Kubernetes memory quantities into bytes."""

    def parse(value: str) -> int:
        problem = f"a size from {show_size(low)} to {show_size(high)}, such as 512Mi or 2Gi"
        return int(_bounded(_amount(value, _SIZES, problem), low, high, problem))

    return parse


def cpus(low: float, high: float) -> Callable[[str], float]:
    """A parser of Kubernetes CPU quantities into CPUs."""

    def parse(value: str) -> float:
        problem = f"CPUs from {low * 1000:.0f}m to {high:.0f}, such as 500m or 2"
        return _bounded(_amount(value, _CPUS, problem), low, high, problem)

    return parse


def duration(low: int, high: int) -> Callable[[str], int]:
    """A parser of times (`90`, `90s`, `10m`, `12h`, `7d`) into whole seconds."""

    def parse(value: str) -> int:
        problem = f"a time from {low} s to {high // 86_400} days, such as 90s, 10m or 12h"
        return int(_bounded(_amount(value, _TIMES, problem), low, high, problem))

    return parse


def show_size(amount: float) -> str:
    """Bytes in the largest binary unit that leaves at least one of it: `1.5Gi`, `512Mi`."""
    for unit, factor in reversed(_BINARY.items()):
        if amount >= factor:
            return f"{amount / factor:.1f}".removesuffix(".0") + unit
    return f"{amount:.0f}"


def _amount(value: str, units: dict[str, int] | dict[str, float], problem: str) -> float:
    found = _NUMBER.fullmatch(value)
    if found is None or found[2] not in units:
        raise ValueError(problem)
    return float(found[1]) * units[found[2]]


def _bounded(amount: float, low: float, high: float, problem: str) -> float:
    if not low <= amount <= high:
        raise ValueError(problem)
    return amount
