"""What a late look does about a schedule."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubiya_workers.control_plane.jobs.due import COUNTED, LATE, decide
from kubiya_workers.control_plane.jobs.schedule import parsed

AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY, DAILY, MINUTELY = (parsed(text, None) for text in ("0 * * * *", "0 10 * * *", "* * * * *"))


def test_in_time_it_fires_and_is_due_again() -> None:
    found = decide(HOURLY, AT, AT + timedelta(milliseconds=3), HOUR)
    assert (found.fire, found.missed, found.next_at) == (AT, None, AT + HOUR)


@pytest.mark.parametrize("late", [timedelta(minutes=59), HOUR])
def test_within_the_window_it_is_caught_up(late: timedelta) -> None:
    found = decide(DAILY, AT, AT + late, HOUR)
    assert (found.fire, found.missed) == (AT, None)
    assert found.next_at == AT + timedelta(days=1)


def test_beyond_it_it_was_missed() -> None:
    found = decide(DAILY, AT, AT + 2 * HOUR, HOUR)
    assert found.fire is None and found.missed is not None
    assert (found.missed.count, found.missed.last, found.next_at) == (1, AT, AT + timedelta(days=1))


def test_of_several_one_is_caught_up_and_all_others_were_missed() -> None:
    found = decide(MINUTELY, AT, AT + timedelta(minutes=10, seconds=5), HOUR)
    assert found.fire == AT + timedelta(minutes=10) and found.missed is not None
    assert (found.missed.count, found.missed.first, found.missed.last) == (10, AT, AT + timedelta(minutes=9))
    assert "10 times since 2026-05-04 10:00 UTC" in found.missed.told


def test_without_a_window_only_what_is_in_time_fires() -> None:
    assert decide(DAILY, AT, AT + LATE / 2, timedelta(0)).fire == AT
    assert decide(DAILY, AT, AT + 2 * LATE, timedelta(0)).fire is None


def test_a_year_away_is_counted_no_further_than_it_must_be() -> None:
    now = AT + timedelta(days=365, seconds=20)
    for window in (HOUR, timedelta(0)):
        found = decide(MINUTELY, AT, now, window)
        assert found.fire == AT + timedelta(days=365) and found.missed is not None
        assert found.missed.count >= COUNTED and "at least 10,0" in found.missed.told
        assert found.missed.last == found.fire - timedelta(minutes=1) or window < LATE
    assert found.next_at == found.fire + timedelta(minutes=1)


@settings(max_examples=60)
@given(
    st.sampled_from([HOURLY, DAILY, MINUTELY, parsed("30 2 * * *", "Europe/Berlin")]),
    st.integers(0, 40 * 3600),
    st.integers(0, 86_400),
)
def test_every_time_is_fired_or_missed_or_yet_to_come(schedule: object, late_s: int, window_s: int) -> None:
    assert isinstance(schedule, type(HOURLY))
    due = schedule.next(AT)
    assert due is not None
    now, window = due + timedelta(seconds=late_s), timedelta(seconds=window_s)
    found = decide(schedule, due, now, window)
    past = [due, *takewhile(lambda at: at <= now, schedule.after(due))]
    fired = [found.fire] if found.fire else []
    assert len(past) == len(fired) + (found.missed.count if found.missed else 0)
    if fired:
        assert found.fire == past[-1] and now - past[-1] <= max(window, LATE)
    else:
        assert now - past[-1] > window
    assert found.next_at is not None and found.next_at > now
