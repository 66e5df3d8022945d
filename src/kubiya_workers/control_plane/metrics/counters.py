"""What is counted as it happens. On the path of every request and every event: a few microseconds at most."""

from itertools import product
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram

from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.jobs import Outcome, TriggerType
from kubiya_workers.contracts.usage import CallReport
from kubiya_workers.observability import exposition
from kubiya_workers.observability.calls import COMPLETED, MODEL_BUCKETS, CallTally
from kubiya_workers.observability.exposition import Bounded
from kubiya_workers.observability.machine import DiskCollector, ProcessCollector

from ..store.database import Database
from .states import Checks, Lookout, StateCollector, States

PREFIX = "kubiya_control_plane"
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
LATENESS_BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Metrics:
    """One a process, with a registry of its own; used inside one event loop. `home` is where its files are."""

    def __init__(self, home: Path | None = None) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._states, self._lookout = StateCollector(), Lookout()
        self._requests = self._count("http_requests", "Requests by route and status.", "method", "route", "status")
        self._request_s = self._times(
            "http_request_duration_seconds",
            "From a request to the begin of its answer: a stream may go on for hours.",
            REQUEST_BUCKETS,
            "method",
            "route",
        )
        self._submitted = self._count("executions_submitted", "Executions that were taken.")
        self._ended = self._count("executions_ended", "Executions that ended, by how.", "status")
        self._appended = self._count("events_appended", "Events that were taken into the log, chunks too.")
        self._commit_s = self._times(
            "event_commit_duration_seconds", "One transaction of the event log, however many share it.", COMMIT_BUCKETS
        )
        self._model_calls = self._count(
            "model_calls", "Calls through the gateway that ended, by how.", "model", "upstream", "result"
        )
        self._model_s = self._times(
            "model_call_duration_seconds",
            "Calls through the gateway that were completed: from the request to the end of its answer.",
            MODEL_BUCKETS,
            "model",
            "upstream",
        )
        self._fired = self._count(
            "job_firings", "Times that jobs were due, by what became of them.", "trigger", "outcome"
        )
        self._late_s = self._times(
            "job_lateness_seconds",
            "From when a schedule was due to when its job was taken.",
            LATENESS_BUCKETS,
        )
        self._models, self._upstreams, self._calls = Bounded(), Bounded(), CallTally()
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.registry.register(self._states)
        self.registry.register(ProcessCollector())
        if home is not None:
            self.registry.register(DiskCollector(PREFIX, home))
        for status in Status:
            if status.is_terminal:
                self._ended.labels(status)
        for trigger, outcome in product(TriggerType, Outcome):
            if outcome is not Outcome.PENDING:
                self._fired.labels(trigger, outcome)

    def _count(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", help_, labels, registry=self.registry)

    def _times(self, name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", help_, labels, buckets=buckets, registry=self.registry)

    async def page(self, database: Database, checks: Checks, *, readers: int) -> bytes:
        """Everything, in Prometheus' text format 0.0.4; `readers` is how many streams are open."""
        return self.render(await self._lookout.look(database, checks), readers=readers)

    def render(self, states: States, *, readers: int) -> bytes:
        """The page with these states."""
        self._states.states, self._states.readers = states, readers
        return exposition.page(self.registry)

    # --- what happened

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is a template, never a path: paths have no end."""
        key = (method, route, status)
        found = self._answered.get(key)
        if found is None:
            found = self._requests.labels(method, route, status), self._request_s.labels(method, route)
            self._answered[key] = found
        count, times = found
        count.inc()
        times.observe(seconds)

    def execution_submitted(self) -> None:
        self._submitted.inc()

    def execution_ended(self, status: Status) -> None:
        self._ended.labels(status).inc()

    def job_fired(self, trigger: TriggerType, outcome: Outcome, *, late_s: float | None = None) -> None:
        self._fired.labels(trigger, outcome).inc()
        if late_s is not None:
            self._late_s.observe(late_s)

    def events_appended(self, count: int) -> None:
        self._appended.inc(count)

    def model_call_ended(self, model: str, upstream: str, result: str, seconds: float) -> None:
        """`result` is one of a few kinds; names come from callers and configurations, and are bounded here."""
        model, upstream = self._models(model), self._upstreams(upstream)
        self._model_calls.labels(model, upstream, result).inc()
        if result == COMPLETED:
            self._model_s.labels(model, upstream).observe(seconds)
        self._calls.ended(model, result, seconds, upstream=upstream)

    def calls(self) -> CallReport:
        """The calls through the gateway, as people look at them."""
        return self._calls.report()

    def committed(self, seconds: float) -> None:
        self._commit_s.observe(seconds)
