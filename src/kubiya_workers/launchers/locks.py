"""Locks that the kernel drops when their holder dies, however it dies: `flock` on a file of the home.

A lock belongs to the open file: a child that inherits the descriptor holds it too, and goes on holding it alone.
"""

import fcntl
import os
from pathlib import Path


class FileLock:
    """One handle on a lock file; it holds nothing until it is taken. Not for use by two tasks at once."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def at(cls, path: Path) -> "FileLock":
        """Raises OSError when the file can be neither opened nor made."""
        return cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def exclusively(self) -> bool:
        """Take it alone, if nobody else has it in any way."""
        return self._take(fcntl.LOCK_EX)

    def together(self) -> bool:
        """Take it with others, if nobody has it alone."""
        return self._take(fcntl.LOCK_SH)

    def release(self) -> None:
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close this handle; the lock goes with the last handle on it."""
        os.close(self.descriptor)

    def _take(self, kind: int) -> bool:
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
