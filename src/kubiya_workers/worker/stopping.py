"""SIGTERM and SIGINT: the first one drains, the second one means now."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class StopSignals:
    """Set once by the first signal; `at_once` is called by the second."""

    def __init__(self, at_once: Callable[[int], None]) -> None:
        self._at_once = at_once
        self._event = asyncio.Event()
        self._signals = 0
        self.reason = ""

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received, number)

    def _received(self, number: signal.Signals) -> None:
        # The first one may come after we began to drain by ourselves: whoever sends it asks for just that.
        self._signals += 1
        if self._signals > 1:
            self._at_once(128 + number)
        self.request(number.name)

    def request(self, reason: str) -> None:
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None when we are asked to end before it is there: then it is cancelled."""
        task, asked = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return None if task.cancelled() else task.result()

    async def wait(self) -> None:
        await self._event.wait()
