"""The log of a worker on the disk, written and read back at the same time."""

import errno
import os
import re
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubiya_workers.launchers.upkeep import rotation
from kubiya_workers.launchers.upkeep.reader import LEVELS, MISSING, Wanted, read
from kubiya_workers.launchers.upkeep.rotation import LogLimits, RotatingLog

LINES = st.lists(st.integers(0, 60), max_size=60)
EVERYTHING = Wanted()


def opened(path: Path, size: int = 200, backups: int = 5, **options: int) -> RotatingLog:
    return RotatingLog(path, LogLimits(size, backups), on_gap=lambda count, reason: None, **options)


def shown(path: Path) -> list[str]:
    return [line for record in read(path, EVERYTHING) for line in record]


@given(st.lists(LINES, max_size=8), st.integers(1, 100))
@settings(max_examples=60)
def test_no_line_is_lost_doubled_or_cut(tmp_path_factory: pytest.TempPathFactory, chunks: list[list[int]], size: int):
    path = tmp_path_factory.mktemp("log") / "worker.log"
    log, said = opened(path, size, 1000), []
    for number, chunk in enumerate(chunks):
        lines = [f"{number}.{at}:{'x' * length}" for at, length in enumerate(chunk)]
        log.write("".join(f"{line}\n" for line in lines).encode())
        said += lines
    log.close()
    assert (shown(path) if said else []) == said
    for file in path.parent.iterdir():
        whole = file.read_bytes()
        assert not whole or whole.endswith(b"\n")
        assert len(whole) <= size or whole.count(b"\n") == 1, "larger only for one line that no file could hold"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_so_many_old_files_are_kept_and_the_oldest_goes(tmp_path: Path) -> None:
    log = opened(tmp_path / "worker.log", size=10, backups=2)
    for number in range(6):
        log.write(f"line {number}\n".encode())
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["worker.log", "worker.log.1", "worker.log.2"]
    assert shown(tmp_path / "worker.log") == ["line 3", "line 4", "line 5"]


def test_no_old_file_where_none_is_wanted(tmp_path: Path) -> None:
    log = opened(tmp_path / "worker.log", size=10, backups=0)
    for number in range(3):
        log.write(f"line {number}\n".encode())
    log.close()
    assert os.listdir(tmp_path) == ["worker.log"]


def test_a_file_that_was_cut_off_ends_before_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("half a li")
    log = opened(path)
    log.write(b"next\n")
    log.close()
    assert shown(path) == ["half a li", "next"]


def test_a_log_that_was_moved_away_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_LOOK_S", 0.0)
    path = tmp_path / "worker.log"
    log = opened(path)
    log.write(b"one\n")
    path.rename(tmp_path / "elsewhere")
    log.write(b"two\n")
    log.close()
    assert path.read_text() == "two\n" and (tmp_path / "elsewhere").read_text() == "one\n"


class FullDisk:
    """Takes so many bytes, and then none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self.write: Callable[[int, bytes], int] = os.write
        monkeypatch.setattr(rotation.os, "write", self)
        monkeypatch.setattr(rotation, "_TRY_AGAIN_S", 0.0)

    def __call__(self, file: int, content: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(file, content[: self.room])
        self.room -= written
        return written


def test_a_full_disk_delays_lines_and_cuts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "worker.log"
    log = opened(path, 10_000)
    disk = FullDisk(monkeypatch, 7)
    log.write(b"one\ntwo\nthree\n")
    assert path.read_text() == "one\ntwo" and log.problem == "No space left on device"
    log.write(b"four\n")
    disk.room = 1_000
    log.flush()
    assert log.problem is None
    log.close()
    assert shown(path) == ["one", "two", "three", "four"]


def test_what_does_not_fit_into_memory_either_is_counted_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "worker.log"
    gaps: list[tuple[int, str]] = []

    def on_gap(count: int, reason: str) -> None:
        gaps.append((count, reason))
        log.write(f"{count} missing\n".encode())

    log = RotatingLog(path, LogLimits(10_000, 1), on_gap=on_gap, held=12)
    disk = FullDisk(monkeypatch, 0)
    log.write(b"one\ntwo\nthree\nfour\n")
    log.write(b"5\n")
    disk.room = 1_000
    log.write(b"six\n")
    log.write(b"seven\n")
    log.close()
    assert gaps == [(4, "No space left on device")]
    assert shown(path) == ["one", "two", "4 missing", "seven"]


def test_what_is_followed_is_whole_while_it_is_rotated(tmp_path: Path) -> None:
    """A writer at full speed, some 200 files, and a reader beside it: each line once, in order."""
    path, total = tmp_path / "worker.log", 60_000
    log = opened(path, 20_000, 1000)
    log.write(b"0\n")

    def write() -> None:
        for start in range(1, total, 50):
            log.write("".join(f"{number}\n" for number in range(start, min(start + 50, total))).encode())

    writer = threading.Thread(target=write)
    writer.start()
    expected = 0
    for record in read(path, EVERYTHING, follow=True):
        for line in record:
            assert int(line) == expected
            expected += 1
        if expected == total:
            break
    writer.join()
    log.close()
    assert len(list(tmp_path.iterdir())) > 10


def test_a_file_that_was_taken_away_is_told_of_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("one\n")
    records = read(path, EVERYTHING, follow=True)
    assert next(records) == ["one"]
    path.rename(tmp_path / "elsewhere")
    path.write_text("two\n")
    assert next(records) == [MISSING, "two"]
    records.close()


NOW = datetime.now(UTC)


def at(age: timedelta, level: str, message: str) -> str:
    return f"{(NOW - age).isoformat(timespec='milliseconds').replace('+00:00', 'Z')} [{level}] {message}"


RECORDS = [
    at(timedelta(hours=2), "INFO", "Ready: queue=q"),
    at(timedelta(hours=1), "ERROR", "Worker failed: error=x") + "\nTraceback:\n  at the needle",
    at(timedelta(minutes=1), "WARN", "Heartbeat failed"),
    '{"timestamp": "' + NOW.isoformat() + '", "level": "INFO", "message": "Task completed"}',
]


@pytest.mark.parametrize(
    ("wanted", "tail", "places"),
    [
        (EVERYTHING, None, [0, 1, 2, 3]),
        (EVERYTHING, 2, [2, 3]),
        (EVERYTHING, 0, []),
        (Wanted(level=LEVELS["WARN"]), None, [1, 2]),
        (Wanted(since=NOW - timedelta(minutes=10)), None, [2, 3]),
        (Wanted(pattern=re.compile("need.e")), None, [1]),
        (Wanted(pattern=re.compile("Task")), 5, [3]),
    ],
)
def test_records_are_filtered_whole(tmp_path: Path, wanted: Wanted, tail: int | None, places: list[int]) -> None:
    path = tmp_path / "worker.log"
    path.with_name("worker.log.1").write_text(f"{RECORDS[0]}\n{RECORDS[1]}\n")
    path.write_text("".join(f"{record}\n" for record in RECORDS[2:]))
    assert ["\n".join(record) for record in read(path, wanted, tail=tail)] == [RECORDS[place] for place in places]


def test_no_log_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "worker.log", EVERYTHING))
