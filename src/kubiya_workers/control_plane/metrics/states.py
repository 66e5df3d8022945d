"""What the database and Temporal say now: asked for at a scrape, kept for some seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from kubiya_workers import __version__
from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.health import Check

from ..store import provisions
from ..store import states as store
from ..store.database import Database
from ..store.states import OpenRuns, WorkersOfQueue

KEPT_S = 10.0
LIMIT_S = 2.0
LOST_SHOWN = timedelta(hours=1)
"""How long a worker that was lost is still counted as such: long enough for an alert, no longer than is news."""
QUEUES_SHOWN = 200
EPHEMERAL, OTHER = "(ephemeral)", "(other)"
_PREFIX = "kubiya_control_plane"


@dataclass(frozen=True)
class States:
    """One look at the installation. Without a database there are no counts."""

    checks: Mapping[str, Check] = field(default_factory=dict[str, Check])
    workers: Sequence[WorkersOfQueue] = ()
    runs: Sequence[OpenRuns] = ()
    dialect: str = ""
    on_demand: Mapping[str, int] = field(default_factory=dict[str, int])


Checks = Callable[[], Awaitable[Mapping[str, Check]]]
"""Asks the parts of the control plane whether they answer."""


class Lookout:
    """Looks at most every `kept_s`, once for all who ask meanwhile."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._turn = asyncio.Lock()
        self._looked: float | None = None
        self._states = States()

    async def look(self, database: Database, checks: Checks) -> States:
        async with self._turn:
            now = time.monotonic()
            if self._looked is None or now - self._looked >= self._kept_s:
                self._states = await _counted(database, await checks())
                self._looked = now
            return self._states


async def _counted(database: Database, checks: Mapping[str, Check]) -> States:
    try:
        async with asyncio.timeout(LIMIT_S), database.reading() as connection:
            workers = await store.workers(connection, lost_since=datetime.now(UTC) - LOST_SHOWN)
            runs = await store.open_runs(connection)
            on_demand = await store.on_demand(connection)
    except (Unavailable, TimeoutError):
        return States(checks, dialect=database.dialect)
    return States(checks, workers, runs, database.dialect, on_demand)


class StateCollector(Collector):
    """Shows the states that were looked up last; a scrape's own path waits for nothing here."""

    def __init__(self) -> None:
        self.states = States()
        self.readers = 0

    def collect(self) -> Iterator[Metric]:
        states = self.states
        yield InfoMetricFamily(_PREFIX, "This control plane.", {"version": __version__, "database": states.dialect})
        yield GaugeMetricFamily(f"{_PREFIX}_event_readers", "Streams of events that are open.", self.readers)
        yield from _parts(states.checks)
        yield from _workers(states.workers)
        yield from _runs(states.runs)
        yield _on_demand(states.on_demand)


def _parts(checks: Mapping[str, Check]) -> Iterator[Metric]:
    up = GaugeMetricFamily(f"{_PREFIX}_part_up", "1 while a part that it needs answers.", labels=["part"])
    latency = GaugeMetricFamily(f"{_PREFIX}_part_latency_seconds", "How long it took to answer.", labels=["part"])
    for part, check in checks.items():
        up.add_metric([part], check.ok)
        if check.latency_ms is not None:
            latency.add_metric([part], check.latency_ms / 1000)
    yield from (up, latency)


def _workers(counted: Sequence[WorkersOfQueue]) -> Iterator[Metric]:
    by_state = GaugeMetricFamily(
        f"{_PREFIX}_workers", "Workers by queue and state; lost ones for an hour.", labels=["queue", "state"]
    )
    ages = GaugeMetricFamily(
        f"{_PREFIX}_heartbeat_age_seconds", "The longest silence of a queue's live workers.", labels=["queue"]
    )
    totals: dict[tuple[str, str], int] = {}
    oldest: dict[str, float] = {}
    names = shown(row.queue for row in counted if not row.ephemeral)
    now = datetime.now(UTC)
    for row in counted:
        queue = _label(row.queue, row.ephemeral, names)
        totals[queue, row.status] = totals.get((queue, row.status), 0) + row.number
        if row.status.is_live:
            oldest[queue] = max(oldest.get(queue, 0.0), (now - row.oldest_heartbeat).total_seconds())
    for labels, count in totals.items():
        by_state.add_metric(labels, count)
    for queue, age in oldest.items():
        ages.add_metric([queue], age)
    yield from (by_state, ages)


def _runs(counted: Sequence[OpenRuns]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        f"{_PREFIX}_executions_open", "Executions that are not over.", labels=["queue", "status"]
    )
    names = shown(row.queue for row in counted if not row.ephemeral)
    totals: dict[tuple[str, str], int] = {}
    for row in counted:
        labels = (_label(row.queue, row.ephemeral, names), row.status)
        totals[labels] = totals.get(labels, 0) + row.number
    for labels, count in totals.items():
        family.add_metric(labels, count)
    yield family


def _on_demand(counted: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(
        f"{_PREFIX}_on_demand_workers", "Workers on demand: wanted, serving, kept for inspection.", labels=["state"]
    )
    for state in provisions.State:
        family.add_metric([state.value], counted.get(state.value, 0))
    return family


def shown(queues: Iterable[str]) -> frozenset[str]:
    """The queues that have series of their own: the first ones by name, so that they stay the same."""
    return frozenset(sorted(set(queues))[:QUEUES_SHOWN])


def _label(queue: str, ephemeral: bool, names: frozenset[str]) -> str:
    """Queues that come and go with their run would be a series each, for ever."""
    if ephemeral:
        return EPHEMERAL
    return queue if queue in names else OTHER
