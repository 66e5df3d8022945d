"""The table of transitions."""

import itertools

import pytest

from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.executions import TRANSITIONS, Status, advance

TERMINAL = {Status.COMPLETED, Status.FAILED, Status.CANCELLED}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(Status, Status)))
def test_only_the_tables_transitions_are_possible(old: Status, new: Status) -> None:
    if new in TRANSITIONS[old]:
        assert advance(old, new) is new
        return
    with pytest.raises(Conflict, match=f"{old} cannot become {new}"):
        advance(old, new)


def test_terminal_states_are_immutable_and_every_other_one_can_end() -> None:
    for status in Status:
        assert status.is_terminal == (status in TERMINAL)
        assert status.is_terminal or TRANSITIONS[status] >= TERMINAL
