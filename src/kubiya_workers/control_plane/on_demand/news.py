"""That something happened, told to all who wait for it."""

import asyncio
import contextlib


class News:
    """One for all who wait; used within one event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Set by the next piece of news. Taken before looking, it misses none."""
        return self._event


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it came in time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
