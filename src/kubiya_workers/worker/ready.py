"""Telling whoever started this process that it polls: a line on the descriptor they named."""

import contextlib
import os

from kubiya_workers.contracts.pool import Ready


class Announcer:
    """Says it each time that the worker newly polls: after a lost session it is another worker."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, ready: Ready) -> None:
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):  # They may be gone; the worker serves its queue all the same.
            os.set_inheritable(self._descriptor, False)  # not for tools: whoever reads it waits for its end
            os.write(self._descriptor, ready.model_dump_json().encode() + b"\n")
