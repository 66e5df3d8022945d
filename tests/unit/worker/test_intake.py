"""When a worker takes nothing."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.pool import Pause
from kubiya_workers.worker.intake import FULL, ROOM, Seen, closed_by
from kubiya_workers.worker.standing import Closed

LIMIT = 1024**3
NOW = datetime.now(UTC)


def full(memory: int) -> Seen:
    return Seen(memory=memory, memory_limit=LIMIT)


FOR_MEMORY = Closed("memory", for_memory=True)


def test_a_person_decides_first() -> None:
    closed = closed_by(Seen(Pause(since=NOW, note="moving"), True, LIMIT, LIMIT), None)
    assert closed is not None and closed.reason == "paused: moving" and closed.pause is not None


@given(st.integers(0, 2 * LIMIT))
def test_memory_closes_it_above_80_percent_and_opens_it_below_70(memory: int) -> None:
    share = memory / LIMIT
    assert (closed_by(full(memory), None) is None) == (share <= FULL)
    assert (closed_by(full(memory), FOR_MEMORY) is None) == (share <= ROOM)


def test_a_stopped_litellm_closes_it_and_says_how_to_start_it() -> None:
    closed = closed_by(Seen(proxy_stopped=True), None)
    assert closed is not None and "stopped by a person" in closed.reason and "kubiya ui" in closed.reason
    assert closed_by(full(int(LIMIT * (FULL + ROOM) / 2)), closed) is None, "memory was not why"


@given(st.integers(0, 2 * LIMIT))
def test_after_a_pause_it_opens_wherever_it_would_not_have_closed(memory: int) -> None:
    paused = Closed("paused", Pause(since=NOW))
    assert (closed_by(full(memory), paused) is None) == (memory / LIMIT <= FULL)


@given(st.integers(0, 2 * LIMIT))
def test_without_a_limit_memory_is_nobodys_concern(memory: int) -> None:
    assert closed_by(Seen(memory=memory), None) is None
