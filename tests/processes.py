"""What a test asks of processes that may end while it looks at them."""

import psutil


def alive(process: psutil.Process | int) -> bool:
    """Whether this very process still runs: one that has ended and is not yet collected by its parent does not.

    Asked in one step: between two looks it may end, and psutil then raises.
    """
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ended(process: psutil.Process | int) -> bool:
    """The opposite, for `map` and `until`."""
    return not alive(process)
