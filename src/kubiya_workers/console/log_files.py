"""A log read in pages, forwards and backwards, across its rotated files.

A position is a file, by its inode, and an offset in it: files are renamed but never cut, so that a position stays good
until its file is removed. Each request reads at most `MOST_BYTES`, and says where it stopped.
"""

import os
import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kubiya_workers.contracts.console import LogLine, LogPage
from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.launchers.upkeep.reader import LEVELS, head, last_number, named

MOST_BYTES = 16 * 1024**2
_BLOCK = 256 * 1024
_LONGEST = 1024**2
_WORDS = {10: "DEBUG", 20: "INFO", 30: "WARN", 40: "ERROR"}
_ENDING = re.compile(rb"[^\n]*\n|[^\n]+")
_SLOG = re.compile(r"time=(\S+) level=([A-Z]+) ")


@dataclass(frozen=True)
class Position:
    """Between two lines."""

    inode: int
    offset: int

    @classmethod
    def parse(cls, cursor: str) -> "Position":
        """Raises Invalid."""
        try:
            inode, _, offset = cursor.partition("-")
            return cls(int(inode, 16), int(offset, 16))
        except ValueError:
            raise Invalid(f"{cursor!r} is no cursor of a log") from None

    def __str__(self) -> str:
        return f"{self.inode:x}-{self.offset:x}"


@dataclass(frozen=True)
class Wanted:
    """Which lines; `level` as in LEVELS, `text` in lower case."""

    level: int = 0
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def needle(self) -> bytes:
        """What every line must have in it, whatever its case; nothing where bytes do not tell."""
        return self.text.encode() if self.text.isascii() else b""

    def takes(self, line: "_Line") -> bool:
        if self.level and (line.level or 0) < self.level:
            return False
        if self.since is not None and (line.at is None or line.at < self.since):
            return False
        if self.until is not None and (line.at is None or line.at >= self.until):
            return False
        return self.text in line.text.lower()

    def has_passed(self, line: "_Line") -> bool:
        """Whether all lines before this one are too old."""
        return self.since is not None and line.is_head and line.at is not None and line.at < self.since


@dataclass(frozen=True)
class _File:
    descriptor: int
    inode: int
    size: int
    """Up to the end of its last whole line; a file that is written no more is whole."""


@dataclass(frozen=True)
class _Line:
    start: int
    end: int
    text: str
    at: datetime | None
    level: int | None
    is_head: bool


def before(path: Path, source: str, wanted: Wanted, limit: int, position: Position | None = None) -> LogPage:
    """The last lines before a position, or of all. Raises OSError when there is no log."""
    with _opened(path) as files:
        index, end = _place(files, position, otherwise_last=True)
        at = Position(files[index].inode, end)
        last, found, is_all = position or at, list[LogLine](), False
        for file, line in _backwards(files, index, end, wanted.needle):
            at = Position(file.inode, line.start)
            if wanted.takes(line):
                found.append(_told(line, source, file.inode))
            is_all = wanted.has_passed(line)
            if len(found) == limit or is_all:
                break
        is_all = is_all or at == Position(files[0].inode, 0)
        return LogPage(lines=tuple(reversed(found)), before=None if is_all else str(at), after=str(last))


def after(path: Path, source: str, wanted: Wanted, limit: int, position: Position) -> LogPage:
    """The first lines after a position; from the oldest on when its file is gone. Raises OSError: there is no log."""
    with _opened(path) as files:
        index, start = _place(files, position, otherwise_last=False)
        begin = at = Position(files[index].inode, start)
        found: list[LogLine] = []
        for file, line in _forwards(files, index, start):
            at = Position(file.inode, line.end)
            if wanted.takes(line):
                found.append(_told(line, source, file.inode))
            if len(found) == limit:
                break
        return LogPage(lines=tuple(found), before=str(begin), after=str(at))


def _backwards(files: list["_File"], index: int, end: int, needle: bytes) -> Iterator[tuple["_File", "_Line"]]:
    """Lines, the newest first, from the end of one on; not endlessly. Of blocks without the needle only the first."""
    budget = MOST_BYTES
    while budget > 0:
        if end == 0:
            if index == 0:
                return
            index -= 1
            end = files[index].size
            continue
        descriptor = files[index].descriptor
        lines = _without(needle, descriptor, end) or _block_before(descriptor, end)
        budget -= end - lines[0].start
        end = lines[0].start
        yield from ((files[index], line) for line in reversed(lines))


def _forwards(files: list["_File"], index: int, start: int) -> Iterator[tuple["_File", "_Line"]]:
    """Lines, the oldest first, from the start of one on; not endlessly."""
    budget = MOST_BYTES
    while budget > 0:
        if start >= files[index].size:
            if index == len(files) - 1:
                return
            index, start = index + 1, 0
            continue
        begun = start
        for line in _block_after(files[index].descriptor, start, files[index].size):
            start = line.end
            yield files[index], line
        budget -= start - begun


def whole(path: Path) -> Iterator[bytes]:
    """Everything, the oldest first. Raises OSError when there is no log."""
    with _opened(path) as files:
        for file in files:
            offset = 0
            while offset < file.size:
                chunk = os.pread(file.descriptor, min(_BLOCK, file.size - offset), offset)
                if not chunk:
                    break
                offset += len(chunk)
                yield chunk


def measured(path: Path) -> tuple[int, int]:
    """How many bytes it has, in how many files; nothing where there is none."""
    sizes: list[int] = []
    for number in range(last_number(path) + 1):
        with suppress(OSError):
            sizes.append(named(path, number).stat().st_size)
    return sum(sizes), len(sizes)


@contextmanager
def _opened(path: Path) -> Generator[list[_File]]:
    """Its files, the oldest first: opened from the newest on, so that a rotation meanwhile hides none."""
    with ExitStack() as stack:
        found: dict[int, _File] = {}
        for number in range(last_number(path) + 2):
            with suppress(FileNotFoundError):
                descriptor = os.open(named(path, number), os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                stat = os.fstat(descriptor)
                if stat.st_ino not in found:
                    size = stat.st_size if number else _end_of_lines(descriptor, stat.st_size)
                    found[stat.st_ino] = _File(descriptor, stat.st_ino, size)
        if not found:
            raise FileNotFoundError(2, "there is no log yet", str(path))
        yield list(reversed(found.values()))


def _end_of_lines(descriptor: int, size: int) -> int:
    """Where the last whole line ends; a line of a megabyte that has no end yet counts as one."""
    length = min(size, _LONGEST)
    found = os.pread(descriptor, length, size - length).rfind(b"\n")
    return size if found < 0 and length == _LONGEST else size - length + found + 1


def _place(files: list[_File], position: Position | None, *, otherwise_last: bool) -> tuple[int, int]:
    """Where to go on: the number of a file and an offset in it."""
    if position is not None:
        for index, file in enumerate(files):
            if file.inode == position.inode:
                return index, min(position.offset, file.size)
    return (len(files) - 1, files[-1].size) if position is None and otherwise_last else (0, 0)


def _without(needle: bytes, descriptor: int, end: int) -> list[_Line]:
    """The first line of the block that ends at `end`, when nothing in it is wanted; none when something may be.

    To take a block into lines costs many times as much as to look through it.
    """
    start = max(0, end - _BLOCK)
    data = os.pread(descriptor, end - start, start)
    cut = 0 if start == 0 else data.find(b"\n", 0, len(data) - 1) + 1
    if not needle or needle in data.lower() or (start > 0 and cut == 0):
        return []
    lines = _lines(data[cut:], start + cut)
    first = next(lines)
    return [first if start == 0 or first.is_head else next((line for line in lines if line.is_head), first)]


def _block_before(descriptor: int, end: int) -> list[_Line]:
    """Some lines that end at `end`; the first is a record's own, where that can be seen."""
    length = _BLOCK
    while True:
        start = max(0, end - length)
        data = os.pread(descriptor, end - start, start)
        cut = 0 if start == 0 else data.find(b"\n", 0, len(data) - 1) + 1
        if start > 0 and cut == 0 and length < _LONGEST:
            length *= 4  # one line is longer than this
            continue
        lines = list(_lines(data[cut:], start + cut))
        first = next((number for number, line in enumerate(lines) if line.is_head), None)
        if start == 0 or (first is None and length >= _LONGEST):
            return lines
        if first is not None:
            return lines[first:]
        length *= 4  # a record is longer than this, or the log has none


def _block_after(descriptor: int, start: int, size: int) -> Iterator[_Line]:
    length = _BLOCK
    while True:
        data = os.pread(descriptor, min(length, size - start), start)
        is_all = start + len(data) >= size
        cut = len(data) if is_all else data.rfind(b"\n") + 1
        if cut or length >= _LONGEST:
            return _lines(data[: cut or len(data)], start)
        length *= 4


def _lines(data: bytes, offset: int) -> Iterator[_Line]:
    """Lines with their places; one that continues a record has that one's time and level."""
    at: datetime | None = None
    level: int | None = None
    for match in _ENDING.finditer(data):
        raw = match[0]
        text = raw.removesuffix(b"\n").decode(errors="replace")
        found = _head(text)
        if found is not None:
            at, level = found
        yield _Line(offset, offset + len(raw), text, at, level, found is not None)
        offset += len(raw)


def _head(text: str) -> tuple[datetime, int] | None:
    """As `reader.head`, and for lines of Temporal's."""
    found = _SLOG.match(text)
    if found is None:
        return head(text) if text.startswith(("{", "2")) else None
    with suppress(ValueError, KeyError):
        return datetime.fromisoformat(found[1]).astimezone(UTC), LEVELS[found[2]]
    return None


def _told(line: _Line, source: str, inode: int) -> LogLine:
    return LogLine(
        source=source,
        cursor=str(Position(inode, line.end)),
        at=line.at if line.is_head else None,
        level=_WORDS.get(line.level or 0),
        text=line.text,
    )
