"""Cron expressions, and clocks that are changed."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.control_plane.jobs.schedule import parsed

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata")
zones = st.sampled_from(ZONES)
moments = st.integers(0, 20 * 366 * 86_400).map(lambda s: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
expressions = st.sampled_from(
    (
        "* * * * *",
        "*/7 * * * *",
        "0 * * * *",
        "30 2 * * *",
        "0,30 1-3 * * *",
        "15 */6 * * 1-5",
        "0 0 1 * *",
        "0 3 * * 7",
    )
)


def between(expression: str, zone: str, start: datetime, end: datetime) -> Sequence[datetime]:
    return list(takewhile(lambda due: due < end, parsed(expression, zone).after(start)))


@given(expressions, zones, moments)
def test_times_are_after_the_moment_and_only_grow(expression: str, zone: str, moment: datetime) -> None:
    times = parsed(expression, zone).following(moment, 20)
    assert all(earlier < later for earlier, later in pairwise((moment, *times)))
    assert all(time.tzinfo is UTC for time in times)


@settings(max_examples=50)
@given(expressions, zones, moments)
def test_it_does_not_matter_when_it_is_asked(expression: str, zone: str, moment: datetime) -> None:
    """One by one, as a control plane asks, and all at once."""
    schedule = parsed(expression, zone)
    asked, last = [], moment
    for _ in range(20):
        last = schedule.next(last) or last
        asked.append(last)
    assert tuple(asked) == schedule.following(moment, 20)


@settings(max_examples=60)
@given(zones, st.dates(date(2016, 1, 2), date(2034, 12, 30)), st.integers(0, 23), st.integers(0, 59))
def test_a_daily_job_fires_once_a_day_whatever_clocks_do(zone: str, day: date, hour: int, minute: int) -> None:
    local = ZoneInfo(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=local).astimezone(UTC) - timedelta(microseconds=1)
    end = (datetime(day.year, day.month, day.day, tzinfo=local) + timedelta(days=1)).astimezone(UTC)
    (due,) = between(f"{minute} {hour} * * *", zone, start, end)
    wanted = datetime(day.year, day.month, day.day, hour, minute, tzinfo=local)
    exists = wanted == wanted.astimezone(UTC).astimezone(local)
    assert due == wanted.astimezone(UTC) or not exists


@settings(max_examples=60)
@given(zones, moments)
def test_every_quarter_of_an_hour_goes_by_real_time(zone: str, moment: datetime) -> None:
    times = parsed("*/15 * * * *", zone).following(moment, 12)
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(minutes=15)}


@pytest.mark.parametrize(
    ("day", "due"),
    [
        (date(2026, 3, 28), ["01:30"]),  # 02:30 is 01:30 UTC
        (date(2026, 3, 29), ["01:00"]),  # there is no 02:30: at once, at 03:00
        (date(2026, 3, 30), ["00:30"]),
        (date(2026, 10, 24), ["00:30"]),
        (date(2026, 10, 25), ["00:30"]),  # 02:30 comes twice: the first of them
        (date(2026, 10, 26), ["01:30"]),
    ],
)
def test_half_past_two_in_berlin(day: date, due: list[str]) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    times = between("30 2 * * *", "Europe/Berlin", start - timedelta(seconds=1), start + timedelta(days=1))
    assert [f"{time:%H:%M}" for time in times] == due


def test_a_second_hour_of_the_same_name_fires_nothing_again() -> None:
    within = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)  # 02:15, the second time
    assert parsed("0,30 2 * * *", "Europe/Berlin").next(within) == datetime(2026, 10, 26, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone", "said"),
    [
        ("", None, "0 fields"),
        ("* * * *", None, "4 fields"),
        ("0 * * * * *", None, "6 fields"),
        ("60 * * * *", None, "the minute"),
        ("* 24 * * *", None, "the hour"),
        ("* * 32 * *", None, "the day-of-month"),
        ("* * * JUX *", None, "the month"),
        ("* * * * fun", None, "the day-of-week"),
        ("0 0 30 2 *", None, "the day-of-month"),
        ("* * */20 * 1L", None, "never due"),
        ("@fortnightly", None, "@fortnightly"),
        ("@daily", "Mars/Olympus", "Mars/Olympus"),
        ("@daily", "../etc/passwd", "../etc/passwd"),
        ("@daily", "Europe", "Europe"),
        ("@daily", "\0", "cron_timezone"),
    ],
)
def test_what_is_wrong_is_named(expression: str, zone: str | None, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        parsed(expression, zone)
    assert said in refused.value.detail
    assert refused.value.fix


@settings(max_examples=60)
@given(st.text(alphabet="0123456789*/,-#LW monfri@\u00b2", max_size=24) | st.text(max_size=12))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        assert parsed(text, None).next(datetime(2026, 1, 1, tzinfo=UTC)) is not None
    except Invalid as refused:
        assert refused.detail.startswith("cron_schedule: ")


def test_names_are_shorthands() -> None:
    assert parsed("@Daily", "UTC") == parsed("0 0 * * *", None)
