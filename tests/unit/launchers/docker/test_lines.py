"""A container's log by lines, with a stand-in for the daemon that keeps it."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import pytest

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.pool import ContainerState
from kubiya_workers.launchers.docker import lines
from kubiya_workers.launchers.docker.engine import Docker, Inspected


def at(second: int) -> str:
    return f"2026-01-02T03:04:{second:02d}.000000001Z"


class Kept:
    """Says `lives` one after the other: what a container writes from each start to its end."""

    def __init__(self, *lives: list[bytes], breaks: bool = False) -> None:
        self.lives = list(lives)
        self.breaks = breaks
        self.asked: list[float | None] = []

    def log(self, container: str, *, since: float | None = None, follow: bool = False) -> Iterator[bytes]:
        self.asked.append(since)
        yield from self.lives.pop(0)
        if self.breaks:
            raise Unavailable("gone")

    def inspect(self, container: str) -> Inspected | None:
        if not self.lives:
            return None
        return Inspected(container, ContainerState.RUNNING, None, False, 0, at(0), {})


def to_come(kept: Kept, after: str = "", **options: Any) -> list[str]:
    return [line for line in lines.to_come(cast("Docker", kept), "c", after, **options) if line is not None]


def test_pieces_end_where_they_like() -> None:
    kept = Kept([f"{at(1)} first\n{at(2)} sec".encode(), f"ond\n{at(3)} \n{at(4)} last".encode()])
    assert list(lines.there(cast("Docker", kept), "c")) == [
        (at(1), "first"),
        (at(2), "second"),
        (at(3), ""),
        (at(4), "last"),
    ]


def test_what_was_seen_is_left_out_though_docker_says_its_second_again() -> None:
    kept = Kept([f"{at(1)} seen\n{at(2)} new\n".encode(), b""])
    assert to_come(kept, at(1)) == ["new"]
    assert kept.asked == [1767323041]


def test_two_streams_a_little_out_of_order_lose_nothing() -> None:
    assert to_come(Kept([f"{at(2)} out\n{at(1)} err\n".encode()])) == ["out", "err"]


def test_it_goes_on_when_the_container_is_started_again() -> None:
    kept = Kept([f"{at(1)} one\n".encode()], [f"{at(1)} one\n{at(2)} two\n".encode()])
    assert to_come(kept, lasting=True) == ["one", "two"]


def test_a_daemon_that_goes_away_is_said() -> None:
    found = lines.to_come(cast("Docker", Kept([f"{at(1)} one\n".encode()], breaks=True)), "c", "")
    assert next(islice((line for line in found if line), 1)) == "one"
    with pytest.raises(Unavailable):
        list(found)
