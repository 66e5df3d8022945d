"""Lines of a log each of which stands after the time that whoever keeps the log put before it."""

from collections.abc import Iterable, Iterator


def lines(pieces: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Each line after its time, from pieces that may end within one."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from map(_parted, whole)
    if rest:
        yield _parted(rest)


def _parted(line: bytes) -> tuple[str, str]:
    moment, _, said = line.decode(errors="replace").partition(" ")
    return moment, said
