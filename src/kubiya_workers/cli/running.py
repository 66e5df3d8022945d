"""One asynchronous command from its first to its last step, ended cleanly by signals."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from .exit import Stopped

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(command: Coroutine[Any, Any, T]) -> T:
    """The command's result.

    The first signal cancels the command, which cleans up behind itself; a second one does not wait for that: what is
    left then is ended by the guard and by the locks, as after a kill.

    Raises:
        Stopped: a signal ended it.
    """
    return asyncio.run(_until_signal(command))


async def _until_signal(command: Coroutine[Any, Any, T]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(command)
    received: list[int] = []

    def on_signal(number: int) -> None:
        if received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received.append(number)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Stopped(received[0]) from None
        raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
