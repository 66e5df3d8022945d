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
MISSING = "… lines may be missing here: the file was removed before the next one could be read …"


@dataclass(frozen=True)
class Wanted:
    """Which records are shown; `level` as in LEVELS."""

    since: datetime | None = None
    level: int = 0
    pattern: re.Pattern[str] | None = None

    def takes(self, record: list[str]) -> bool:
        moment, level = _head(record[0]) or (None, None)
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
    files = _opened(path)
    if not files:
        raise FileNotFoundError(2, "there is no log yet", str(path))
    lines = _Lines(path, files)
    there = (record for record in _records(lines.there()) if wanted.takes(record))
    yield from there if tail is None else deque(there, maxlen=tail)
    if follow:
        yield from (record for record in _records(lines.to_come()) if wanted.takes(record))
    lines.close()


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


def _head(line: str) -> tuple[datetime, int] | None:
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

    def __init__(self, path: Path, files: list[int]) -> None:
        self._path = path
        self._files = files
        self._rest = b""

    def there(self) -> Iterator[str]:
        """What is there now; the last file stays open, to be followed."""
        while True:
            yield from self._to_the_end()
            if len(self._files) == 1:
                break
            yield from self._next_file()

    def to_come(self) -> Iterator[str | None]:
        """What is written from here on; None while nothing is."""
        while True:
            yield from self._to_the_end()
            if self._is_current():
                yield None
                time.sleep(_LOOK_S)
                continue
            # What was written between the last look and the renaming; nothing is added after it.
            yield from self._to_the_end()
            yield from self._newer()
            yield from self._next_file()

    def close(self) -> None:
        for file in self._files:
            os.close(file)
        self._files = []

    def _to_the_end(self) -> Iterator[str]:
        while chunk := os.read(self._files[0], _CHUNK):
            whole, _, self._rest = (self._rest + chunk).rpartition(b"\n")
            if whole:
                yield from whole.decode(errors="replace").split("\n")

    def _next_file(self) -> Iterator[str]:
        if len(self._files) > 1:
            os.close(self._files.pop(0))
            if self._rest:
                yield self._rest.decode(errors="replace")
                self._rest = b""

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._files[0]))
        except FileNotFoundError:
            return True  # it is being rotated, or was deleted: a new one will come

    def _newer(self) -> Iterator[str]:
        """Queue those files that were begun after ours."""
        ours, files = os.fstat(self._files[0]), _opened(self._path)
        places = [place for place, file in enumerate(files) if os.path.samestat(os.fstat(file), ours)]
        older = places[0] + 1 if places else 0
        for file in files[:older]:
            os.close(file)
        self._files += files[older:]
        if not places and files:
            yield MISSING


def _opened(path: Path) -> list[int]:
    """The log's files, opened, oldest first.

    The newest is opened first, and the names are followed upwards as far as there are any by then: a file is only
    ever renamed up by one, so one that is renamed meanwhile is met again under a later name, and none is missed.
    """
    files: list[int] = []
    seen: set[tuple[int, int]] = set()
    number = 0
    while True:
        try:
            file = os.open(_name(path, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if number > _last(path):
                return files[::-1]
        else:
            stat = os.fstat(file)
            if (stat.st_dev, stat.st_ino) in seen:
                os.close(file)
            else:
                seen.add((stat.st_dev, stat.st_ino))
                files.append(file)
        number += 1


def _name(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _last(path: Path) -> int:
    """The number of the oldest file that there is now."""
    try:
        endings = (entry.name.removeprefix(f"{path.name}.") for entry in os.scandir(path.parent))
        return max((int(ending) for ending in endings if ending.isdecimal()), default=0)
    except FileNotFoundError:
        return 0
