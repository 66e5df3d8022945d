"""A log in pages: each line once and in order, whichever way it is read, across its files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kubiya_workers.console import log_files
from kubiya_workers.console.log_files import Position, Wanted, after, before
from kubiya_workers.contracts.errors import Invalid

START = datetime(2026, 1, 2, tzinfo=UTC)
LEVELS = ("INFO", "WARN", "DEBUG", "ERROR")


def line(number: int) -> str:
    moment = (START + timedelta(seconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{moment} [{LEVELS[number % 4]}] Line number {number:05}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """900 lines in three files, the newest with a line that has no end yet."""
    path = tmp_path / "worker.log"
    for number in (0, 1, 2):
        lines = [line(at) for at in range(number * 300, number * 300 + 300)]
        name = f"worker.log.{2 - number}" if number < 2 else "worker.log"
        path.with_name(name).write_text("\n".join(lines) + "\n")
    with path.open("a") as file:
        file.write("not whole")
    return path


def numbers(page: log_files.LogPage) -> list[int]:
    return [int(told.text.rpartition(" ")[2]) for told in page.lines]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_BLOCK", 1024)


@pytest.mark.parametrize("limit", [1, 7, 100, 2000])
def test_backwards_to_the_beginning(log: Path, limit: int) -> None:
    page = before(log, "worker/q", Wanted(), limit)
    found = numbers(page)
    while page.before is not None:
        page = before(log, "worker/q", Wanted(), limit, Position.parse(page.before))
        assert len(page.lines) <= limit
        found = numbers(page) + found
    assert found == list(range(900))


@pytest.mark.parametrize("limit", [1, 7, 100, 2000])
def test_forwards_to_the_end_and_on(log: Path, limit: int) -> None:
    oldest = log.with_name("worker.log.2")
    position, found = Position(oldest.stat().st_ino, 0), list[int]()
    while (page := after(log, "worker/q", Wanted(), limit, position)).lines:
        found += numbers(page)
        assert page.after is not None
        position = Position.parse(page.after)
    assert found == list(range(900))
    with log.open("a") as file:
        file.write(f": 1\n{line(901)}\n")
    page = after(log, "worker/q", Wanted(), limit, position)
    assert page.lines[0].text == "not whole: 1"


def test_a_position_outlives_a_rotation(log: Path) -> None:
    page = before(log, "worker/q", Wanted(), 10)
    assert numbers(page) == list(range(890, 900)) and page.after is not None
    log.with_name("worker.log.2").rename(log.with_name("worker.log.3"))
    log.with_name("worker.log.1").rename(log.with_name("worker.log.2"))
    log.rename(log.with_name("worker.log.1"))
    log.write_text(f"{line(900)}\n")
    following = after(log, "worker/q", Wanted(), 10, Position.parse(page.after))
    assert [told.text for told in following.lines] == ["not whole", line(900)]
    assert page.before is not None
    earlier = before(log, "worker/q", Wanted(), 10, Position.parse(page.before))
    assert numbers(earlier) == list(range(880, 890))


def test_a_file_that_is_gone_begins_with_the_oldest(log: Path) -> None:
    gone = Position(1, 10)
    assert numbers(after(log, "worker/q", Wanted(), 1, gone)) == [0]


def test_filters(log: Path) -> None:
    since, until = START + timedelta(seconds=299), START + timedelta(seconds=303)
    page = before(log, "s", Wanted(since=since, until=until), 100)
    assert numbers(page) == [299, 300, 301, 302] and page.before is None
    errors = before(log, "s", Wanted(level=40), 5)
    assert numbers(errors) == [883, 887, 891, 895, 899] and {told.level for told in errors.lines} == {"ERROR"}
    found = before(log, "s", Wanted(text="number 00007"), 5)
    assert numbers(found) == [7] and found.lines[0].at == START + timedelta(seconds=7) and found.before is None


@pytest.mark.parametrize("text", ["number 00", "00417", "trace of 300", "größe 12", "no such words", "00001"])
@pytest.mark.parametrize("limit", [1, 50])
@pytest.mark.parametrize("since", [None, START + timedelta(seconds=250)])
def test_a_search_finds_what_is_there_and_nothing_twice(
    tmp_path: Path, text: str, limit: int, since: datetime | None
) -> None:
    """Whatever is passed over without being read closely, in whichever block of whichever file."""
    path = tmp_path / "worker.log"
    whole: list[tuple[int, str]] = []
    for number in range(600):
        lines = [line(number), *(f"  Trace of {number} at {at}" for at in range(number % 4))]
        lines += [f"  Größe {number}"] if number % 5 == 0 else []
        whole += [(number, one) for one in lines]
    for name, begin, end in (("worker.log.1", 0, 300), ("worker.log", 300, 600)):
        path.with_name(name).write_text("".join(f"{one}\n" for number, one in whole if begin <= number < end))
    first = 0 if since is None else 250
    wanted, found = Wanted(text=text, since=since), list[str]()
    page = before(path, "worker/q", wanted, limit)
    found = [told.text for told in page.lines]
    while page.before is not None:
        page = before(path, "worker/q", wanted, limit, Position.parse(page.before))
        found = [told.text for told in page.lines] + found
    assert found == [one for number, one in whole if number >= first and text in one.lower()]


def test_what_follows_a_record_has_its_level(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("\n".join([line(3), *(f"  File {number}" for number in range(200)), line(4), ""]))
    page = before(log, "s", Wanted(level=40), 500)
    assert len(page.lines) == 201 and {told.level for told in page.lines} == {"ERROR"}
    assert page.lines[1].at is None


def test_a_request_reads_only_so_much(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MOST_BYTES", 4096)
    page, looks = before(log, "s", Wanted(text="number 00007"), 5), 1
    while page.before is not None and not page.lines:
        page, looks = before(log, "s", Wanted(text="number 00007"), 5, Position.parse(page.before)), looks + 1
    assert numbers(page) == [7] and looks > 5


def test_lines_of_temporals_and_very_long_ones(tmp_path: Path) -> None:
    log = tmp_path / "temporal.log"
    log.write_text(f"time=2026-01-02T03:04:05.678 level=ERROR msg=x\n{'y' * 5000}\nend\n")
    page = before(log, "temporal", Wanted(), 10)
    assert [told.text[:4] for told in page.lines] == ["time", "yyyy", "end"] and page.lines[0].level == "ERROR"


def test_a_cursor_that_is_none(log: Path) -> None:
    with pytest.raises(Invalid):
        Position.parse("x-y-z")
    with pytest.raises(FileNotFoundError):
        before(log.with_name("other.log"), "s", Wanted(), 1)


def test_whole_and_measured(log: Path) -> None:
    text = b"".join(log_files.whole(log)).decode()
    assert text.splitlines() == [line(number) for number in range(900)]
    size, files = log_files.measured(log)
    assert files == 3 and size > len(text)
