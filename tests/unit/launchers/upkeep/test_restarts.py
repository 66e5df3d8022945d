"""What becomes of a worker that has ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.pool import Mode, UpkeepState
from kubiya_workers.launchers.upkeep.restarts import (
    HEALTHY_S,
    JITTER,
    LONGEST_S,
    LOOPING_AFTER,
    Again,
    Ended,
    Over,
    after,
    wait_before,
)

STATUSES = st.integers(-64, 255)
CRASHES = st.integers(0, 10_000)
CHANCE = st.floats(0, 1)


def test_waits_double_from_one_second_to_a_minute() -> None:
    assert [wait_before(crashes, 0.0) for crashes in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(1, 100_000), CHANCE)
def test_a_wait_has_bounds_and_jitter_takes_at_most_a_fifth(crashes: int, chance: float) -> None:
    assert wait_before(crashes, 0.0) * (1 - JITTER) <= wait_before(crashes, chance) <= LONGEST_S


@given(STATUSES, CRASHES, CHANCE, st.sampled_from(Mode), st.floats(0, 1e6), st.booleans())
def test_one_that_was_told_to_end_stays_ended(
    status: int, crashes: int, chance: float, mode: Mode, healthy: float, ever: bool
) -> None:
    step = after(Ended(status, healthy, ever, told=True), crashes, mode, chance)
    assert isinstance(step, Over) and step.state is UpkeepState.STOPPED


@given(STATUSES.filter(bool), CRASHES, CHANCE, st.floats(0, 1e6))
def test_a_supervisor_never_gives_up_on_one_that_once_polled(
    status: int, crashes: int, chance: float, healthy: float
) -> None:
    step = after(Ended(status, healthy, ever_ready=True), crashes, Mode.DAEMON, chance)
    assert isinstance(step, Again)
    assert step.crash and 0 < step.wait <= LONGEST_S
    assert step.crashes == (1 if healthy >= HEALTHY_S else crashes + 1)
    assert step.looping == (step.crashes >= LOOPING_AFTER)


def test_one_that_ended_well_is_not_started_again() -> None:
    step = after(Ended(0, 1.0, ever_ready=True), 0, Mode.DAEMON, 0.5)
    assert step == Over(UpkeepState.STOPPED, "it ended by itself with status 0")


def test_one_that_never_polled_failed_with_its_own_words() -> None:
    step = after(Ended(6, 0.0, ever_ready=False, last_words="LOG_LEVEL=x"), 0, Mode.DAEMON, 0.5)
    assert step == Over(UpkeepState.FAILED, "it ended with status 6: LOG_LEVEL=x")


def test_one_that_was_unfit_is_no_crash() -> None:
    step = after(Ended(0, 1.0, ever_ready=True, unfit="memory"), 3, Mode.DAEMON, 0.0)
    assert step == Again(8.0, 4, "memory", crash=False)


def test_a_single_execution_says_with_its_status_how_that_went_and_a_killed_one_goes_on() -> None:
    failed = after(Ended(1, 1.0, ever_ready=True), 0, Mode.DAEMON, 0.5, once=True)
    assert isinstance(failed, Over) and failed.state is UpkeepState.FAILED
    assert isinstance(after(Ended(-9, 1.0, ever_ready=True), 0, Mode.DAEMON, 0.5, once=True), Again)


@pytest.mark.parametrize("status", [0, 1, -9])
@pytest.mark.parametrize("mode", list(Mode))
def test_one_that_was_asked_for_is_started_at_once_and_forgets_crashes(status: int, mode: Mode) -> None:
    step = after(Ended(status, 1.0, ever_ready=True, asked=True), 7, mode, 0.5)
    assert isinstance(step, Again) and step.asked
    assert (step.wait, step.crashes, step.crash, step.looping) == (0.0, 0, False, False)
    assert isinstance(after(Ended(status, 1.0, ever_ready=True, asked=True, told=True), 0, mode, 0.5), Over)
