"""Telling whoever started this process that it polls: one line on the descriptor they named."""

import contextlib
import os


class Announcer:
    """Says it once; a worker that polls again after a lost session has nobody waiting for it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        with contextlib.suppress(OSError):  # They may be gone; the worker serves its queue all the same.
            os.write(descriptor, b"ready\n")
            os.close(descriptor)
