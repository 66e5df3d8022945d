"""What a worker counts, and the page that shows it to Prometheus.

    activities, uplink, heartbeat, watch ──record──▶ Metrics ──page()──▶ GET /metrics
                       what /status says, restarts, the machine ──▶ │
                                       Temporal's own SDK, over HTTP ──▶ │

`counters` names every family and its labels; `recorder` is the one class that the rest of the worker calls. What is a
state rather than a count is read at the moment of the scrape: `reported` shows what `/status` says, so that the two
never differ, `restarts` what its supervisor wrote down. `sdk` fetches Temporal's own page. Names follow
Prometheus' conventions; values of labels that come from agents are bounded.
"""

from .recorder import Metrics, ModelMeter, StepKind, StepResult

__all__ = ["Metrics", "ModelMeter", "StepKind", "StepResult"]
