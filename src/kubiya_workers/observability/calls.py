"""Calls to models, as people look at them: how many, how they ended, how long the last ones took.

Beside what Prometheus scrapes, and counted in the same places. Exact percentiles of the last calls say more at a glance
than buckets since the start.
"""

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kubiya_workers.contracts.usage import CallReport, ModelCalls

MODEL_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
COMPLETED = "completed"
GIVEN_UP = frozenset({"cancelled", "client_left"})
"""How a call ends that nobody wants any more: no error of the model's."""
_REMEMBERED = 500


@dataclass
class _Tally:
    ended: Counter[str] = field(default_factory=Counter[str])
    took: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    last: datetime = field(default_factory=lambda: datetime.now(UTC))


class CallTally:
    """Told of each call by one thread, asked by any. Names are bounded by whoever tells."""

    def __init__(self) -> None:
        self._since = datetime.now(UTC)
        self._lock = threading.Lock()
        self._models: dict[tuple[str, str | None], _Tally] = {}

    def ended(self, model: str, result: str, seconds: float, *, upstream: str | None = None) -> None:
        with self._lock:
            tally = self._models.setdefault((model, upstream), _Tally())
            tally.ended[result] += 1
            tally.last = datetime.now(UTC)
            if result == COMPLETED:
                tally.took.append(seconds)

    def report(self) -> CallReport:
        """The busiest model first."""
        with self._lock:
            models = [_told(*names, tally) for names, tally in self._models.items()]
        return CallReport(since=self._since, models=tuple(sorted(models, key=lambda one: (-one.calls, one.model))))


def _told(model: str, upstream: str | None, tally: _Tally) -> ModelCalls:
    took = sorted(tally.took)
    return ModelCalls(
        model=model,
        upstream=upstream,
        calls=tally.ended.total(),
        errors={kind: n for kind, n in sorted(tally.ended.items()) if kind != COMPLETED and kind not in GIVEN_UP},
        given_up=sum(tally.ended[kind] for kind in GIVEN_UP),
        p50_ms=_percentile(took, 0.5),
        p95_ms=_percentile(took, 0.95),
        last=tally.last,
    )


def _percentile(ordered: list[float], share: float) -> float | None:
    """The nearest rank, from seconds to milliseconds."""
    return round(1000 * ordered[round(share * (len(ordered) - 1))], 1) if ordered else None
