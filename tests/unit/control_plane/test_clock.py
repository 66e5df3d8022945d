"""A wall clock that jumps."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.ids import WorkerId
from kubiya_workers.control_plane.clock import JUMP, WatchedClock
from kubiya_workers.control_plane.services.workers import is_lost
from kubiya_workers.control_plane.store.workers import Pulse

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float, shift: float = 0.0) -> tuple[datetime, float]:
    return START + timedelta(seconds=seconds + shift), seconds


@given(st.lists(st.floats(0.1, 100.0), max_size=20))
def test_a_clock_that_only_goes_on_is_steady(steps: list[float]) -> None:
    clock, passed = WatchedClock(), 0.0
    for step in steps:
        passed += step
        assert clock.steady_for(*at(passed)) == timedelta.max


@given(st.floats(-1e8, 1e8).filter(lambda shift: abs(shift) > JUMP.total_seconds() + 1))
def test_a_jump_begins_the_time_anew(shift: float) -> None:
    clock = WatchedClock()
    clock.steady_for(*at(0))
    assert clock.steady_for(*at(10, shift)) == timedelta(0)
    assert clock.steady_for(*at(40, shift)) == timedelta(seconds=30)


@given(st.floats(-1e8, 1e8))
def test_no_jump_makes_a_worker_lost_that_beats(shift: float) -> None:
    """One that beats each 30 s, a sweep each 10 s, and a jump in between."""
    clock, heard = WatchedClock(), START
    for seconds in range(0, 600, 10):
        now, monotonic = at(seconds, shift if seconds >= 200 else 0.0)
        steady = clock.steady_for(now, monotonic)
        assert not is_lost(Pulse(WorkerId("w"), heard, 30), now, steady)
        if seconds % 30 == 0:
            heard = now


@given(st.floats(-1e8, 1e8))
def test_a_silent_worker_is_lost_whatever_the_clock_does(shift: float) -> None:
    clock, heard, lost = WatchedClock(), START, False
    for seconds in range(0, 600, 10):
        now, monotonic = at(seconds, shift if seconds >= 20 else 0.0)
        lost = lost or is_lost(Pulse(WorkerId("w"), heard, 30), now, clock.steady_for(now, monotonic))
    assert lost
