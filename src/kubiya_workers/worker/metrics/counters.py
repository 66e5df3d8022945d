"""Every family that this worker counts by itself, with its labels and its sentence."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from kubiya_workers.observability.calls import MODEL_BUCKETS

# From a cached tool call to the longest that a step may take by default.
STEP_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BEAT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Counters:
    """The families, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.executions = self._count("executions_seen", "Different executions of which this worker ran a step.")
        self.steps = self._count("steps", "Steps (activities) that ended here.", "kind", "result")
        self.step_s = self._times("step_duration_seconds", "How long steps took.", STEP_BUCKETS, "kind")
        self.model_calls = self._count("model_calls", "Calls to models that ended.", "model", "result")
        self.model_s = self._times("model_call_duration_seconds", "How long model calls took.", MODEL_BUCKETS, "model")
        self.first_token_s = self._times(
            "model_first_token_seconds", "From a model call to its first text.", FIRST_TOKEN_BUCKETS, "model"
        )
        self.tokens = self._count(
            "model_tokens", "Tokens; cached ones are part of input, reasoning of output.", "model", "direction"
        )
        self.cost = self._count("model_cost_usd", "Cost of model calls in US dollars, where prices are known.", "model")
        self.tool_calls = self._count("tool_calls", "Tool calls that ended, by what came of them.", "tool", "result")
        self.tool_s = self._times("tool_call_duration_seconds", "How long tool calls took.", STEP_BUCKETS, "tool")
        self.events_sent = self._count("events_sent", "Events that the control plane took.")
        self.events_retried = self._count("events_retried", "Requests with events that were made again.")
        self.events_dropped = self._count("events_dropped", "Events given up; their step is tried again.")
        self.heartbeats = self._count("heartbeats", "Heartbeats by result.", "result")
        self.heartbeat_s = self._times("heartbeat_duration_seconds", "How long a heartbeat took.", BEAT_BUCKETS)
        self.polls = self._count("poll_probes", "Whether Temporal listed this worker as a poller when asked.", "result")

    def _count(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"kubiya_worker_{name}", help_, labels, registry=self.registry)

    def _times(self, name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"kubiya_worker_{name}", help_, labels, buckets=buckets, registry=self.registry)
