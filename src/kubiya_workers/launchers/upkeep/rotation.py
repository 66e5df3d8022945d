"""The log of a worker on the disk: `worker.log`, and `worker.log.1` … `worker.log.N` as it grows.

Files are only ever renamed up by one, a new one is made beside them, and the oldest goes: none is cut. So a reader
that keeps a file open reads it to its end, whatever happens to its name.
"""

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HELD = 8 * 1024**2
"""Bytes that are kept in memory while the disk takes nothing."""
_LOOK_S = 1.0
_TRY_AGAIN_S = 0.5


@dataclass(frozen=True)
class LogLimits:
    """When a log is rotated (bytes), and how many old files are kept."""

    max_size: int = 104_857_600
    max_backups: int = 10


class RotatingLog:
    """Takes whole lines. A disk that is full delays them; what does not fit into memory either is counted and said.

    Opening it raises OSError; writing never does. `on_gap` is called where lines are missing, with their number and
    the reason.
    """

    def __init__(self, path: Path, limits: LogLimits, *, on_gap: Callable[[int, str], None], held: int = HELD) -> None:
        self.path = path
        self.limits = limits
        self._on_gap = on_gap
        self._most = held
        self._held = bytearray()
        self._missing = 0
        self._problem = ""
        self._try_at = 0.0
        self._look_at = 0.0
        self._file, self._size, self._whole = -1, 0, True
        self._open()

    @property
    def problem(self) -> str | None:
        """Why lines wait in memory; None while they do not."""
        return self._problem if self._held else None

    def write(self, lines: bytes) -> None:
        """Append lines, each with its end."""
        if self._held:
            self._keep(lines)
            self.flush()
            return
        rest = self._append(memoryview(lines))
        if rest:
            self._keep(bytes(rest))

    def flush(self) -> None:
        """Try again to write what is held; at most twice a second."""
        if not self._held or time.monotonic() < self._try_at:
            return
        rest = self._append(memoryview(bytes(self._held)))
        self._held[:] = rest
        if not self._held and self._missing:
            count, self._missing = self._missing, 0
            self._on_gap(count, self._problem)

    def close(self) -> None:
        self._try_at = 0.0
        self.flush()
        os.close(self._file)

    def _keep(self, lines: bytes) -> None:
        # Once a line is missing, so are those after it, until all that is held is written: the gap is in one place.
        room = 0 if self._missing else self._most - len(self._held)
        fits = lines if len(lines) <= room else lines[: lines.rfind(b"\n", 0, room) + 1]
        self._held += fits
        self._missing += lines.count(b"\n", len(fits))

    def _append(self, lines: memoryview) -> memoryview:
        """Write as much as the disk takes; what is left."""
        try:
            self._check_name()
            while lines:
                size = self._part(lines)
                written = os.write(self._file, lines[:size])
                self._size += written
                self._whole = lines[written - 1] == 0x0A
                lines = lines[written:]
        except OSError as error:
            self._problem = error.strerror or str(error)
            self._try_at = time.monotonic() + _TRY_AGAIN_S
        return lines

    def _part(self, lines: memoryview) -> int:
        """How many bytes go into the present file, which is another one when none would: whole lines, at least one."""
        room = self.limits.max_size - self._size
        if len(lines) <= room or not self._rotates:
            return len(lines)
        end = bytes(lines[: max(room, 0)]).rfind(b"\n") + 1
        if end == 0 and self._size and self._whole:
            self._rotate()
            return self._part(lines)
        return end or bytes(lines).find(b"\n") + 1 or len(lines)

    def _rotate(self) -> None:
        """Begin a new file. Where the names cannot be changed, the present one goes on for as long again."""
        self._size = 0
        with suppress(OSError):
            self._make_room()
            if self.limits.max_backups:
                self.path.rename(self._backup(1))
            else:
                self.path.unlink()
            self._open()

    def _make_room(self) -> None:
        """Rename the old files up by one, as far as there is no gap; the oldest goes when there is none."""
        last = 1
        while last <= self.limits.max_backups and self._backup(last).exists():
            last += 1
        if last > self.limits.max_backups:
            last = self.limits.max_backups
            if last:
                self._backup(last).unlink()
        for number in range(last - 1, 0, -1):
            self._backup(number).rename(self._backup(number + 1))

    def _backup(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _check_name(self) -> None:
        """Begin a new file when somebody has moved or deleted ours; looked at each second."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self.path), os.fstat(self._file)):
                return
        self._open()

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        seen = os.fstat(file)
        self._rotates = stat.S_ISREG(seen.st_mode) and self.limits.max_size > 0
        self._size = seen.st_size if self._rotates else 0
        self._whole = self._size == 0 or os.pread(file, 1, self._size - 1) == b"\n"
        if not self._whole:
            # Whoever wrote here before was cut off: what follows is a line of its own.
            with suppress(OSError):
                self._size += os.write(file, b"\n")
            self._whole = True
