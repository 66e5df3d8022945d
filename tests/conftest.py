"""How many tests run at once, how patient all of them are, and what they hand on to what they start."""

import os
import signal

from hypothesis import HealthCheck, settings

# A stall of a busy machine is not a slow example.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# What a script starts in its background ignores Ctrl-C, and hands that on: tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Three for each two processors: a test waits about half of its time for the processes that it started."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)
