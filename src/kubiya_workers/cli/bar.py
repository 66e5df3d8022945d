"""A bar for what is fetched, where somebody is at a terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from . import talk

_AGAIN_S = 0.1


@contextmanager
def bar(what: str) -> Generator[Callable[[int, int], None] | None]:
    """Takes bytes that have come and bytes that are to come, from any thread; None where nobody would see it."""
    if not talk.colours(sys.stderr.isatty()):
        yield None
        return
    with ExitStack() as stack:
        advance: Callable[[int, int], None] | None = None

        def fetched(done: int, total: int) -> None:
            nonlocal advance
            advance = advance or stack.enter_context(_shown(what))
            advance(done, total)

        yield fetched


@contextmanager
def _shown(what: str) -> Generator[Callable[[int, int], None]]:
    from rich.console import Console  # 0.1 s, for those who wait longer anyway
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=1 / _AGAIN_S) as shown:
        task = shown.add_task(what)
        yield lambda done, total: shown.update(task, completed=done, total=total)
