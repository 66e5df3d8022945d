"""States rather than counts: what `/status` says, as gauges."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from kubiya_workers.contracts.pool import WorkerReport
from kubiya_workers.contracts.workers import WorkerStatus

from ..connection import Backlog, PollKind


class ReportCollector(Collector):
    """Reads the worker's report at each scrape; without one there are no states to show."""

    def __init__(self) -> None:
        self.report: Callable[[], WorkerReport] | None = None
        self.restarts: Callable[[], int] | None = None
        self.backlog: tuple[str, Mapping[PollKind, Backlog]] | None = None

    def collect(self) -> Iterator[Metric]:
        if self.report is not None:
            report = self.report()
            yield _info(report)
            yield from _conditions(report)
            yield from _amounts(report)
            yield from _ages(report, time.time())
            yield from _slots(report)
        restarts = self.restarts() if self.restarts is not None else 0
        yield CounterMetricFamily("kubiya_worker_restarts", "Starts after the first, by its supervisor.", restarts)
        if self.backlog is not None:
            yield from _backlog(*self.backlog)


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"kubiya_worker_{name}", help_, value)


def _info(report: WorkerReport) -> Metric:
    labels = {
        "version": report.version,
        "queue": report.queue,
        "worker_id": report.worker_id or "",
        "hostname": report.hostname,
    }
    return InfoMetricFamily("kubiya_worker", "Who this worker is.", labels)


def _conditions(report: WorkerReport) -> Iterator[Metric]:
    paused = report.pause is not None or report.status is WorkerStatus.PAUSED
    yield _gauge("ready", "1 while it is registered and polls.", report.ready)
    yield _gauge("taking", "1 while it takes new work.", report.taking)
    yield _gauge("paused", "1 while it was told to take nothing, or its memory is full.", paused)
    yield _gauge("draining", "1 while it finishes what it has before it ends.", report.status is WorkerStatus.DRAINING)


def _amounts(report: WorkerReport) -> Iterator[Metric]:
    yield _gauge("executions_running", "Executions whose steps run here now.", len(report.executions))
    yield _gauge("events_waiting", "Events that are not sent yet.", report.events_waiting)
    yield _gauge("memory_bytes", "Resident memory of the worker and its tools.", report.memory)
    if report.memory_limit:
        yield _gauge("memory_limit_bytes", "MEMORY_LIMIT.", report.memory_limit)


def _ages(report: WorkerReport, now: float) -> Iterator[Metric]:
    yield _gauge("uptime_seconds", "How long this process has run.", report.uptime_s)
    last = {
        "poll_age_seconds": ("Since Temporal last listed this worker as a poller.", report.last_poll),
        "heartbeat_age_seconds": ("Since the control plane last took a heartbeat.", report.last_heartbeat),
    }
    for name, (help_, moment) in last.items():
        if moment is not None:
            yield _gauge(name, help_, _age(moment, now))


def _age(moment: datetime, now: float) -> float:
    return max(0.0, now - moment.timestamp())


def _slots(report: WorkerReport) -> Iterator[Metric]:
    used = GaugeMetricFamily("kubiya_worker_slots_used", "Steps that run at once now.", labels=["kind"])
    total = GaugeMetricFamily("kubiya_worker_slots", "Steps that may run at once.", labels=["kind"])
    for kind, slots in (("activity", report.activities), ("workflow", report.workflows)):
        if slots.used is not None:
            used.add_metric([kind], slots.used)
        total.add_metric([kind], slots.total)
    yield from (used, total)


def _backlog(queue: str, backlog: Mapping[PollKind, Backlog]) -> Iterator[Metric]:
    """Every worker of a queue shows the same: take the maximum by queue, never the sum."""
    name, labels = "kubiya_worker_queue_backlog", ["queue", "kind"]
    tasks = GaugeMetricFamily(f"{name}_tasks", "Tasks that wait in the queue, about.", labels=labels)
    ages = GaugeMetricFamily(f"{name}_age_seconds", "How long the oldest of them has waited.", labels=labels)
    for kind, waiting in backlog.items():
        tasks.add_metric([queue, kind], waiting.tasks)
        ages.add_metric([queue, kind], waiting.age_s)
    yield from (tasks, ages)
