"""The way out of a process that loaded Temporal's SDK."""

import contextlib
import logging
import os
import sys
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End this process with `status`, all output flushed, without running the interpreter's own end.

    The SDK's native threads may still run then and sometimes abort the process, which would turn a success into
    status 134 or 139. Call it last, when everything is closed: no `finally`, `atexit` or destructor runs after it.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # Only log lines are left here, and those without a reader go on elsewhere: no reason to claim a failure.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
