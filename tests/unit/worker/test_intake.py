"""When a worker takes nothing."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.pool import Pause
from kubiya_workers.worker.intake import FULL, ROOM, closed_by
from kubiya_workers.worker.standing import Closed

LIMIT = 1024**3
NOW = datetime.now(UTC)
FOR_MEMORY = Closed("memory")


def test_a_person_decides_first() -> None:
    closed = closed_by(Pause(since=NOW, note="moving"), LIMIT, LIMIT, None)
    assert closed is not None and closed.reason == "paused: moving" and closed.pause is not None


@given(st.integers(0, 2 * LIMIT))
def test_memory_closes_it_above_80_percent_and_opens_it_below_70(memory: int) -> None:
    share = memory / LIMIT
    assert (closed_by(None, memory, LIMIT, None) is None) == (share <= FULL)
    assert (closed_by(None, memory, LIMIT, FOR_MEMORY) is None) == (share <= ROOM)


@given(st.integers(0, 2 * LIMIT))
def test_after_a_pause_it_opens_wherever_it_would_not_have_closed(memory: int) -> None:
    paused = Closed("paused", Pause(since=NOW))
    assert (closed_by(None, memory, LIMIT, paused) is None) == (memory / LIMIT <= FULL)


@given(st.integers(0, 2 * LIMIT))
def test_without_a_limit_memory_is_nobodys_concern(memory: int) -> None:
    assert closed_by(None, memory, 0, None) is None
