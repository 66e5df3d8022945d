"""The logs of this home by name, and how they are read and followed."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kubiya_workers.contracts.console import LogPage, LogSource
from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound
from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.launchers.upkeep.reader import LEVELS
from kubiya_workers.settings.paths import Paths

from .log_files import Position, Wanted, after, before, measured
from .sse import KEEP_ALIVE, event

MOST_LINES = 5000
_LOOK_S = 0.2
_KEEP_ALIVE_S = 15.0
_AT_ONCE = 1000


@dataclass(frozen=True)
class Asked:
    """A part of a log: the newest lines, or those before or after a cursor."""

    source: str
    level: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    after: str | None = None
    limit: int = 500

    @property
    def wanted(self) -> Wanted:
        """Raises Invalid."""
        level = LEVELS.get(self.level.upper()) if self.level else 0
        if level is None:
            raise Invalid(f"there is no level {self.level!r}; there are DEBUG, INFO, WARN, ERROR")
        return Wanted(level, (self.text or "").lower(), self.since, self.until)


class Logs:
    """Reads; every method raises NotFound for a log that is not there."""

    def __init__(self, paths: Paths, over: asyncio.Event) -> None:
        self._paths = paths
        self._over = over

    def sources(self) -> list[LogSource]:
        """Those that have been written."""
        found = ((name, path, measured(path)) for name, path in self._known())
        return [
            LogSource(name=name, path=str(path), size=size, files=files) for name, path, (size, files) in found if files
        ]

    def path(self, source: str) -> Path:
        """Where a log is, or would be."""
        kind, _, queue = source.partition("/")
        if queue and is_safe_name(queue) and kind in ("worker", "litellm"):
            return self._paths.worker_log(queue) if kind == "worker" else self._paths.proxy_log(queue)
        for name, path in self._of_machine():
            if name == source:
                return path
        raise NotFound(f"there is no log {source!r}")

    def lines(self, asked: Asked) -> LogPage:
        if asked.before and asked.after:
            raise Conflict("before and after exclude each other")
        path, limit = self.path(asked.source), min(asked.limit, MOST_LINES)
        try:
            if asked.after:
                return after(path, asked.source, asked.wanted, limit, Position.parse(asked.after))
            position = Position.parse(asked.before) if asked.before else None
            return before(path, asked.source, asked.wanted, limit, position)
        except OSError as error:
            raise NotFound(f"the log {asked.source} cannot be read: {error.strerror}") from None

    async def follow(self, source: str, cursor: str | None) -> AsyncGenerator[bytes]:
        """What is written after a cursor, or from now on; for as long as somebody reads."""
        path, position = self.path(source), Position.parse(cursor) if cursor else None
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        yield KEEP_ALIVE  # the headers go out at once
        while not self._over.is_set():
            page = await asyncio.to_thread(_next, path, source, position)
            position = Position.parse(page.after) if page and page.after else position
            if page and page.lines:
                yield event("lines", page)
            elif loop.time() - told_at >= _KEEP_ALIVE_S:
                yield KEEP_ALIVE
            else:
                await _a_moment(self._over)
                continue
            told_at = loop.time()

    def _known(self) -> list[tuple[str, Path]]:
        found = list[tuple[str, Path]]()
        for directory in sorted(self._paths.workers.glob("*")):
            queue = directory.name
            if is_safe_name(queue):
                found += [
                    (f"worker/{queue}", self._paths.worker_log(queue)),
                    (f"litellm/{queue}", self._paths.proxy_log(queue)),
                ]
        return [*found, *self._of_machine()]

    def _of_machine(self) -> list[tuple[str, Path]]:
        paths = self._paths
        return [
            ("server", paths.server_log),
            ("temporal", paths.temporal_log),
            ("litellm", paths.gateway_log),
            ("console", paths.console_log),
        ]


def _next(path: Path, source: str, position: Position | None) -> LogPage | None:
    """Lines after the position; without one, no lines, but the position of the end. None while there is no log."""
    try:
        if position is None:
            return before(path, source, Wanted(), 1).model_copy(update={"lines": ()})
        return after(path, source, Wanted(), _AT_ONCE, position)
    except OSError:
        return None


async def _a_moment(over: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(over.wait(), _LOOK_S)
    except TimeoutError:
        return
