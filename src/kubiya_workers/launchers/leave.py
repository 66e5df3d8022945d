"""The way out of a process that loaded Temporal's SDK."""

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
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 1  # what was said did not arrive: a success must not be claimed
    os._exit(status)
