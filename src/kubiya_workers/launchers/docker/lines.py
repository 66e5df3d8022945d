"""The log of a container by lines: Docker keeps it, rotates it, and puts a time before each line."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from kubiya_workers.contracts.errors import Refusal

from .engine import Docker

_QUIET_S = 0.2


def there(docker: Docker, container: str) -> Iterator[tuple[str, str]]:
    """Each line that was written so far, after Docker's time for it."""
    return _timed(docker.log(container))


def to_come(docker: Docker, container: str, after: str) -> Iterator[str | None]:
    """The lines that were written after that time, until the container ends; None while nothing is written.

    Raises:
        Refusal: Docker does not answer.
    """
    arrived: queue.SimpleQueue[str | Refusal | None] = queue.SimpleQueue()

    def pump() -> None:
        try:
            for time, line in _timed(docker.log(container, follow=True, since=_whole_second(after))):
                if time > after:
                    arrived.put(line)
            arrived.put(None)
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


def _whole_second(time: str) -> float | None:
    """Docker's times are exact to the nanosecond, and asked for by the second: what is older is left out here."""
    with suppress(ValueError):
        return int(datetime.fromisoformat(time[:19] + "+00:00").timestamp())
    return None


def _timed(pieces: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from map(_parted, whole)
    if rest:
        yield _parted(rest)


def _parted(line: bytes) -> tuple[str, str]:
    time, _, said = line.decode(errors="replace").partition(" ")
    return time, said
