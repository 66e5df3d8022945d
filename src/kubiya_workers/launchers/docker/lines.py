"""The log of a container by lines: Docker keeps it, rotates it, and puts a time before each line."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.pool import ContainerState

from .. import stamped
from .engine import Docker

_QUIET_S = 0.2


def there(docker: Docker, container: str) -> Iterator[tuple[str, str]]:
    """Each line that was written so far, after Docker's time for it."""
    return stamped.lines(docker.log(container))


def to_come(docker: Docker, container: str, after: str, *, lasting: bool = False) -> Iterator[str | None]:
    """The lines that were written after that time, until the container ends; None while nothing is written.

    Args:
        lasting: go on when it is started again, until it is removed.

    Raises:
        Refusal: Docker does not answer.
    """
    arrived: queue.SimpleQueue[str | Refusal | None] = queue.SimpleQueue()

    def pump() -> None:
        try:
            begin = after
            while True:
                begin = _pumped(docker, container, begin, arrived.put)
                if not lasting or not _runs_again(docker, container):
                    return arrived.put(None)
        except Refusal as error:
            arrived.put(error)

    threading.Thread(target=pump, name="container-log", daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=_QUIET_S)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        if isinstance(line, Refusal):
            raise line
        yield line


def _pumped(docker: Docker, container: str, after: str, put: Callable[[str], None]) -> str:
    """Forward the lines after that time until the container ends; the time of the last one."""
    last = after
    for moment, line in stamped.lines(docker.log(container, follow=True, since=_whole_second(after))):
        # Not after the last line's: the times of two streams may be a little out of order.
        if moment > after:
            last = max(last, moment)
            put(line)
    return last


def _runs_again(docker: Docker, container: str) -> bool:
    """Wait until it does; False when it is removed."""
    while (seen := docker.inspect(container)) is not None:
        if seen.state is ContainerState.RUNNING:
            return True
        time.sleep(_QUIET_S)
    return False


def _whole_second(moment: str) -> float | None:
    """Docker's times are exact to the nanosecond, and asked for by the second: what is older is left out here."""
    with suppress(ValueError):
        return int(datetime.fromisoformat(moment[:19] + "+00:00").timestamp())
    return None
