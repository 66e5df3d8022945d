"""What may be appended to an execution: fencing of stale attempts, duplicates, and chunks that leave no hole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from kubiya_workers.contracts.errors import Conflict
from kubiya_workers.contracts.events import Delta, Fact, closes_step, fact_key

from ..store.events import Mark, end_of, is_delta


class Ledger:
    """What is known of an execution's events. One with a `base` is a trial on top of it, kept only by `fold`."""

    def __init__(self, base: "Ledger | None" = None) -> None:
        self._base = base
        self._keys: set[str] = set()
        self._attempts: dict[int, int] = {}
        self._closed: dict[int, int] = {}
        self._held: dict[str, int] = {}
        self._ended = False

    def knows(self, key: str) -> bool:
        return key in self._keys or (self._base is not None and self._base.knows(key))

    def attempt(self, step: int) -> int:
        """The highest attempt of a step that was heard of, 0 for none."""
        here = self._attempts.get(step, 0)
        return here if here or self._base is None else self._base.attempt(step)

    def closed_by(self, step: int) -> int | None:
        """The attempt that ended a step."""
        here = self._closed.get(step)
        return here if here is not None or self._base is None else self._base.closed_by(step)

    def held(self, part: str) -> int:
        """How many characters of a part are held."""
        here = self._held.get(part)
        if here is not None:
            return here
        return 0 if self._base is None else self._base.held(part)

    @property
    def ended(self) -> bool:
        return self._ended or (self._base is not None and self._base.ended)

    @property
    def messages(self) -> int:
        """How many whole messages are stored."""
        return sum(key.startswith("message:") for key in self._keys)

    def wants(self, event: Fact | Delta) -> bool:
        """Whether an event says something new; False for one that was sent again.

        Raises:
            Conflict: it comes from a stale attempt, or the run is over.
        """
        step, attempt = event.step, event.attempt
        if attempt < self.attempt(step):
            raise Conflict(f"attempt {attempt} of step {step} is stale: attempt {self.attempt(step)} has begun")
        closed = self.closed_by(step)
        sent_again = closed == attempt if is_delta(event) else self.knows(fact_key(cast(Fact, event)))
        if sent_again:
            return False
        if self.ended:
            raise Conflict("the run is over: nothing can be added to its log")
        if closed is not None and closed != attempt:
            raise Conflict(f"step {step} was already finished by attempt {closed}")
        return True

    def note_fact(self, key: str, step: int, attempt: int, *, closes: bool) -> None:
        self._keys.add(key)
        self._attempts[step] = max(attempt, self.attempt(step))
        if closes:
            self._closed[step] = attempt
        if key == "done":
            self._ended = True

    def note_delta(self, part: str, step: int, attempt: int, end: int) -> None:
        self._attempts[step] = max(attempt, self.attempt(step))
        self._held[part] = max(end, self.held(part))

    def note(self, event: Fact | Delta) -> None:
        if is_delta(event):
            delta = cast(Delta, event)
            self.note_delta(delta.part, delta.step, delta.attempt, end_of(delta))
        else:
            fact = cast(Fact, event)
            self.note_fact(fact_key(fact), fact.step, fact.attempt, closes=closes_step(fact))

    def note_mark(self, mark: Mark) -> None:
        if mark.part is None:
            self.note_fact(mark.key, mark.step, mark.attempt, closes=mark.closes_step)
        else:
            self.note_delta(mark.part, mark.step, mark.attempt, mark.end)

    def fold(self) -> None:
        """Keep this trial: its base knows from now on what it knows."""
        base = self._base
        if base is None:
            return
        base._keys |= self._keys
        base._attempts |= self._attempts
        base._closed |= self._closed
        base._held |= self._held
        base._ended |= self._ended


@dataclass
class Admitted:
    """What of an append is new, chunks trimmed to what was not held, and the parts that must be resent."""

    events: list[Fact | Delta] = field(default_factory=list[Fact | Delta])
    behind: dict[str, int] = field(default_factory=dict[str, int])
    refused: int = 0


def admit(ledger: Ledger, events: Sequence[Fact | Delta]) -> Admitted:
    """All of `events` or none: the ledger changes only when none is refused.

    Raises:
        Conflict: one of them comes from a stale attempt, or the run is over.
    """
    trial, admitted = Ledger(ledger), Admitted()
    for event in events:
        if not trial.wants(event):
            continue
        new = _unheld(trial, cast(Delta, event), admitted) if is_delta(event) else event
        if new is not None:
            trial.note(new)
            admitted.events.append(new)
    trial.fold()
    return admitted


def _unheld(ledger: Ledger, delta: Delta, admitted: Admitted) -> Delta | None:
    held = ledger.held(delta.part)
    if delta.offset > held:
        admitted.behind[delta.part] = held
        admitted.refused += 1
        return None
    return from_offset(delta, held)


def from_offset(delta: Delta, offset: int) -> Delta | None:
    """What of a delta lies at or beyond `offset` of its part; None when nothing does."""
    if end_of(delta) <= offset:
        return None
    if delta.offset >= offset:
        return delta
    return delta.model_copy(update={"content": delta.content[offset - delta.offset :], "offset": offset})
