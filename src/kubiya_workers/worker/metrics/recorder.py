"""The one class that the rest of the worker tells what happened; safe to call from any thread."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.pool import WorkerReport
from kubiya_workers.contracts.tools import ToolResult
from kubiya_workers.contracts.usage import CallReport
from kubiya_workers.observability import exposition
from kubiya_workers.observability.calls import CallTally
from kubiya_workers.observability.exposition import Bounded
from kubiya_workers.observability.machine import DiskCollector, NetworkCollector, ProcessCollector

from ..connection import Backlog, PollKind
from .counters import Counters
from .reported import ReportCollector
from .sdk import fetched

_EXECUTIONS_KNOWN = 4_096
"""So many of the last executions are told apart; one that comes back after that is counted again."""


class StepKind(StrEnum):
    MODEL = "model"
    TOOL = "tool"
    LIST_TOOLS = "list_tools"
    SETTLE = "settle"
    DELEGATE = "delegate"
    ANNOUNCE = "announce"


class StepResult(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HANDED_BACK = "handed_back"
    """Given up here, to go on at another worker."""


BeatResult = Literal["ok", "failed", "withheld"]
ProbeResult = Literal["polling", "not_polling", "no_answer"]


@dataclass
class ModelMeter:
    """What is measured of one model call; moments on the monotonic clock."""

    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    usage: Usage | None = None

    def heard(self) -> None:
        """Called for each text of the answer."""
        if self.first is None:
            self.first = time.monotonic()


class Metrics:
    """One a process: counts go on across registrations.

    `home` is where the worker keeps its files, `sdk_url` where Temporal's own metrics are, if anywhere.
    """

    def __init__(self, *, home: Path | None = None, sdk_url: str | None = None) -> None:
        self._counters = Counters()
        self._states = ReportCollector()
        self._sdk_url = sdk_url
        self._models, self._tools = Bounded(), Bounded()
        self._calls = CallTally()
        self._executions: OrderedDict[str, None] = OrderedDict()
        self._begin()
        if home is not None:
            self._counters.registry.register(DiskCollector("kubiya_worker", home))

    def _begin(self) -> None:
        """Series whose alerts need a zero to rise from exist from the start."""
        counters = self._counters
        counters.registry.register(self._states)
        counters.registry.register(ProcessCollector())
        counters.registry.register(NetworkCollector("kubiya_worker"))
        for result in ("ok", "failed", "withheld"):
            counters.heartbeats.labels(result)
        for kind in StepKind:
            for result in (StepResult.COMPLETED, StepResult.FAILED):
                counters.steps.labels(kind, result)

    def show(self, report: Callable[[], WorkerReport], *, restarts: Callable[[], int] | None = None) -> None:
        """Where the page gets its states from; `report` is called at each scrape, on the scrape's thread."""
        self._states.report, self._states.restarts = report, restarts

    def page(self) -> bytes:
        """Everything, in Prometheus' text format 0.0.4."""
        own = exposition.page(self._counters.registry)
        return own + fetched(self._sdk_url) if self._sdk_url else own

    def calls(self) -> CallReport:
        """The calls to models, as people look at them."""
        return self._calls.report()

    # --- what happened

    def execution_seen(self, execution_id: str) -> None:
        if execution_id in self._executions:
            self._executions.move_to_end(execution_id)
            return
        self._executions[execution_id] = None
        if len(self._executions) > _EXECUTIONS_KNOWN:
            self._executions.popitem(last=False)
        self._counters.executions.inc()

    def step_ended(self, kind: StepKind, result: StepResult, seconds: float) -> None:
        self._counters.steps.labels(kind, result).inc()
        self._counters.step_s.labels(kind).observe(seconds)

    @contextlib.contextmanager
    def step(self, kind: StepKind) -> Generator[None]:
        """Around a step that has no edge of its own."""
        began, result = time.monotonic(), StepResult.FAILED
        try:
            yield
            result = StepResult.COMPLETED
        except asyncio.CancelledError:
            result = StepResult.CANCELLED
            raise
        finally:
            self.step_ended(kind, result, time.monotonic() - began)

    @contextlib.contextmanager
    def model_call(self, model: str, meter: ModelMeter) -> Generator[None]:
        """Around one call; `meter` is told meanwhile what the model says, and at the end what it took."""
        model, result = self._models(model), "failed"
        try:
            yield
            result = "completed"
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        finally:
            self._model_call_ended(model, result, meter)

    def _model_call_ended(self, model: str, result: str, meter: ModelMeter) -> None:
        counters, seconds = self._counters, time.monotonic() - meter.began
        counters.model_calls.labels(model, result).inc()
        counters.model_s.labels(model).observe(seconds)
        self._calls.ended(model, result, seconds)
        if meter.first is not None:
            counters.first_token_s.labels(model).observe(meter.first - meter.began)
        if meter.usage is not None:
            self._used(model, meter.usage)

    def _used(self, model: str, usage: Usage) -> None:
        amounts = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cached": usage.cached_tokens,
            "reasoning": usage.reasoning_tokens,
        }
        for direction, amount in amounts.items():
            # What a server says of itself may be nonsense: a counter that refuses must not fail a paid call.
            self._counters.tokens.labels(model, direction).inc(max(0, amount))
        self._counters.cost.labels(model).inc(max(0.0, usage.cost_usd))

    def tool_call_ended(self, result: ToolResult) -> None:
        self.tool_call_settled(result)
        self._counters.tool_s.labels(self._tools(result.tool)).observe(result.duration_ms / 1000)

    def tool_call_settled(self, result: ToolResult) -> None:
        """A call whose result was settled without running it, or without knowing how it went."""
        self._counters.tool_calls.labels(self._tools(result.tool), result.status).inc()

    def events_sent(self, count: int) -> None:
        self._counters.events_sent.inc(count)

    def events_retried(self) -> None:
        self._counters.events_retried.inc()

    def events_dropped(self, count: int) -> None:
        self._counters.events_dropped.inc(count)

    def heartbeat(self, result: BeatResult, seconds: float | None = None) -> None:
        """`seconds` it took; None for one that was not sent."""
        self._counters.heartbeats.labels(result).inc()
        if seconds is not None:
            self._counters.heartbeat_s.observe(seconds)

    def probed(self, result: ProbeResult) -> None:
        self._counters.polls.labels(result).inc()

    def backlog(self, queue: str, backlog: Mapping[PollKind, Backlog]) -> None:
        """What waits in the queue, as Temporal counted it just now."""
        self._states.backlog = (queue, backlog)
