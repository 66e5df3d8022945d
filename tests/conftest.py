"""How many tests run at once."""

import os


def pytest_xdist_auto_num_workers() -> int:
    """Three for each two processors: a test waits about half of its time for the processes that it started."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)
