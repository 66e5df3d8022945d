"""The lines of a child process: kept in a file of bounded size, and watched for the one that says it is ready."""

import asyncio
import contextlib
import os
from collections import deque
from pathlib import Path

_FILE_LIMIT = 4 * 1024 * 1024
"""Bytes; a longer file is set aside as `.1` and a new one begun."""
_LINE_LIMIT = 16 * 1024
_WORDS = 5


class ChildLog:
    """Appends the output of one child after another to `file`. Never raises for the file: a full disk costs lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._descriptor: int | None = None
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_WORDS)
        self._pump: asyncio.Task[None] | None = None

    @property
    def first_words(self) -> str:
        """The first lines of the current child, as one line: where one that fails at once says why."""
        return " ".join(self._first)

    @property
    def last_words(self) -> str:
        """The last lines of the current child, as one line."""
        return " ".join(self._last)

    def follow(self, stream: asyncio.StreamReader, *, until: bytes) -> "asyncio.Future[bool]":
        """Begin to keep what a new child says; resolves True at the first line that holds `until`, False at its end."""
        self._first.clear()
        self._last.clear()
        ready = asyncio.get_running_loop().create_future()
        self._pump = asyncio.create_task(self._keep(stream, until, ready), name="child-log")
        return ready

    async def drained(self) -> None:
        """Wait until all that the child said is kept; call it when the child has ended."""
        if self._pump is not None:
            await self._pump

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _keep(self, stream: asyncio.StreamReader, until: bytes, ready: "asyncio.Future[bool]") -> None:
        rest = b""
        while chunk := await stream.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(line)
                if until in line and not ready.done():
                    ready.set_result(True)
            rest = rest[-_LINE_LIMIT:]
        if rest:
            self._take(rest)
        if not ready.done():
            ready.set_result(False)

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if text:
            self._last.append(text[:_LINE_LIMIT])
            if len(self._first) < _WORDS:
                self._first.append(text[:_LINE_LIMIT])
        with contextlib.suppress(OSError):
            self._write(line + b"\n")

    def _write(self, line: bytes) -> None:
        if self._descriptor is not None and os.fstat(self._descriptor).st_size > _FILE_LIMIT:
            self.close()
            self.file.replace(self.file.with_name(self.file.name + ".1"))
        if self._descriptor is None:
            self._descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(self._descriptor, line)
