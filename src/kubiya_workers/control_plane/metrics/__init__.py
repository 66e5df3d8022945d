"""What a control plane counts, and the page that shows it to Prometheus.

    every request ──`requests`──▶ Metrics ──page()──▶ GET /metrics
    the event log, the ends of runs ──▶ │
    the gateway's calls to models ────▶ │──calls()──▶ GET /usage/calls
             `states`: workers and open runs, counted by the database, at most every 10 s

`counters` names what is counted as it happens, `states` what is looked up. Counts are this process's: where several
control planes share a database, add them up. States are the database's: take the maximum.
"""

from .counters import Metrics

__all__ = ["Metrics"]
