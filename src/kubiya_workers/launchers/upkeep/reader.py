"""A worker's log read back: across its rotated files, filtered by record, and followed while it is written.

A record is a line that begins with its time, or a JSON object, and the lines of a stack trace that follow it.
"""

import json
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

LEVELS = {"DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40}
_HEAD = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z) \[([A-Z]+)\] ")
_CHUNK = 256 * 1024
_LOOK_S = 0.1
_TRIES, _MOMENT_S = 50, 0.001
MISSING = "… lines may be missing here: the file was removed before the next one could be read …"


@dataclass(frozen=True)
class Wanted:
    """Which records are shown; `level` as in LEVELS."""

    since: datetime | None = None
    level: int = 0
    pattern: re.Pattern[str] | None = None

    def takes(self, record: list[str]) -> bool:
        moment, level = head(record[0]) or (None, None)
        if self.level and (level is None or level < self.level):
            return False
        if self.since is not None and (moment is None or moment < self.since):
            return False
        return self.pattern is None or any(map(self.pattern.search, record))


def read(path: Path, wanted: Wanted, *, tail: int | None = None, follow: bool = False) -> Iterator[list[str]]:
    """The wanted records, oldest first; the last `tail` of those that are there, and then, to follow, those to come.

    Raises:
        OSError: the log cannot be read; FileNotFoundError when there is none.
    """
    lines = _Lines(path, _oldest(path))
    yield from select(lines.there(), wanted, tail=tail)
    if follow:
        yield from selected(lines.to_come(), wanted)
    lines.close()


def select(lines: Iterator[str], wanted: Wanted, *, tail: int | None = None) -> Iterator[list[str]]:
    """The wanted records among lines that are there already, however those are kept; the last `tail` of them."""
    there = (record for record in _records(lines) if wanted.takes(record))
    yield from there if tail is None else deque(there, maxlen=tail)


def selected(lines: Iterator[str | None], wanted: Wanted) -> Iterator[list[str]]:
    """The wanted records among lines as they come; None among the lines is a moment of quiet."""
    return (record for record in _records(lines) if wanted.takes(record))


def _records(lines: Iterator[str | None]) -> Iterator[list[str]]:
    """Lines as records; None among the lines is a moment of quiet, in which a record is taken as whole."""
    record: list[str] = []
    for line in lines:
        if record and (line is None or _is_head(line)):
            yield record
            record = []
        if line is not None:
            record.append(line)
    if record:
        yield record


def _is_head(line: str) -> bool:
    return line.startswith('{"timestamp"') or _HEAD.match(line) is not None


def head(line: str) -> tuple[datetime, int] | None:
    """When a record was written and how loud it is; None for a line that is no record's first."""
    found = _HEAD.match(line)
    with suppress(ValueError, KeyError, TypeError):
        if found is not None:
            return datetime.fromisoformat(found[1]), LEVELS[found[2]]
        content = json.loads(line)
        return datetime.fromisoformat(content["timestamp"]), LEVELS[content["level"]]
    return None


class _Lines:
    """The lines of a log's files, oldest first, each once, whatever the files are called by now."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self._rest = b""

    def there(self) -> Iterator[str]:
        """What is there now; the newest file stays open, to be followed."""
        yield from self._to_the_end()
        while not self._is_current():
            yield from self._next_file()
            yield from self._to_the_end()

    def to_come(self) -> Iterator[str | None]:
        """What is written from here on; None while nothing is."""
        while True:
            yield from self._to_the_end()
            if self._is_current():
                yield None
                time.sleep(_LOOK_S)
            else:
                # What was written between the last look and the renaming; nothing is added after it.
                yield from self._to_the_end()
                yield from self._next_file()

    def close(self) -> None:
        os.close(self._file)

    def _to_the_end(self) -> Iterator[str]:
        while chunk := os.read(self._file, _CHUNK):
            whole, _, self._rest = (self._rest + chunk).rpartition(b"\n")
            if whole:
                yield from whole.decode(errors="replace").split("\n")

    def _next_file(self) -> Iterator[str]:
        if self._rest:
            yield self._rest.decode(errors="replace")
            self._rest = b""
        newer = _successor(self._path, os.fstat(self._file))
        if newer is None:
            yield MISSING
            newer = _oldest(self._path)
        os.close(self._file)
        self._file = newer

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return True  # it is being rotated, or was deleted: a new one will come


def _successor(path: Path, ours: os.stat_result) -> int | None:
    """The file that was begun after ours, opened; None when ours is a file of the log no more.

    Files are renamed up by one, the oldest first. So if ours still has its number after the one below was opened,
    that one is the next; if not, they were renamed meanwhile, and both are looked for again.
    """
    for _ in range(_TRIES):
        number = _number_of(path, ours)
        with suppress(FileNotFoundError):
            newer = os.open(named(path, max(number - 1, 0)), os.O_RDONLY | os.O_CLOEXEC)
            if number > 0 and _is(named(path, number), ours):
                return newer
            os.close(newer)
        time.sleep(_MOMENT_S)
    return None


def _number_of(path: Path, ours: os.stat_result) -> int:
    """Which number ours has; 0 when it was overtaken while it was looked for."""
    return next((number for number in range(1, last_number(path) + 2) if _is(named(path, number), ours)), 0)


def _oldest(path: Path) -> int:
    """The oldest file, opened. Raises FileNotFoundError when there is no log at all."""
    while True:
        number = last_number(path)
        try:
            file = os.open(named(path, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if number == 0:
                raise FileNotFoundError(2, "there is no log yet", str(path)) from None
            continue
        if last_number(path) == number and _is(named(path, number), os.fstat(file)):
            return file
        os.close(file)


def _is(name: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(name), file)
    except FileNotFoundError:
        return False


def named(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def last_number(path: Path) -> int:
    """The number of the oldest file that there is now."""
    try:
        endings = (entry.name.removeprefix(f"{path.name}.") for entry in os.scandir(path.parent))
        return max((int(ending) for ending in endings if ending.isdecimal()), default=0)
    except FileNotFoundError:
        return 0
