"""What of an execution becomes a row, and what goes to readers when. Pure: the log does the IO.

Live chunks are kept per part until they are stored; a flush joins the chunks of a part into one row. A fact first
flushes every chunk that came before it, so that rows are in the order in which readers saw them; the fact that
closes a step drops the step's chunks instead, because it repeats them.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.events import Delta, Fact, closes_step
from kubiya_workers.contracts.ids import ExecutionId

from ..store.events import Mark, StoredEvent, end_of, is_delta
from .item import Item
from .ledger import Ledger, admit, from_offset

Unstored = dict[str, list[Delta]]
"""The live chunks of each part that have no row yet; those of a part are contiguous."""


class Journal:
    """One execution as this process knows it: its rows up to `last_seq`, and the chunks after them."""

    def __init__(self, execution_id: ExecutionId, marks: Sequence[Mark] = (), last_seq: int = 0) -> None:
        self.execution_id = execution_id
        self.last_seq = last_seq
        self.ledger = Ledger()
        self.unstored: Unstored = {}
        for mark in marks:
            self.ledger.note_mark(mark)

    def live(self, deltas: Sequence[Delta]) -> tuple[Appended, list[Item]]:
        """Take chunks that no uncommitted fact precedes: readers get them before they are stored.

        Raises:
            Conflict: they come from a stale attempt, or the run is over.
        """
        admitted = admit(self.ledger, deltas)
        new = cast("list[Delta]", admitted.events)
        for delta in new:
            self.unstored.setdefault(delta.part, []).append(delta)
        answer = Appended(accepted=len(deltas) - admitted.refused, behind=admitted.behind)
        return answer, [Item(delta) for delta in new]

    def adopt(self, rows: Iterable[StoredEvent]) -> list[Item]:
        """Take over rows that another control plane stored after ours."""
        news = [Item(event, seq) for seq, event in rows if seq > self.last_seq]
        for item in news:
            self.ledger.note(item.event)
            self._stored(item.event)
            self.last_seq = cast(int, item.seq)
        return news

    def snapshot(self) -> list[Item]:
        """The live chunks that a reader who replays the rows up to `last_seq` still lacks."""
        return [Item(delta) for chunks in self.unstored.values() for delta in chunks]

    def settle(self, draft: "Draft") -> None:
        """The rows of `draft` are committed. Chunks may have come in meanwhile, unless it held appends."""
        draft.ledger.fold()
        self.last_seq = draft.last_seq
        if draft.has_appends:
            self.unstored = draft.unstored
            return
        for _, event in draft.rows:
            self._stored(event)

    def _stored(self, event: Fact | Delta) -> None:
        if is_delta(event):
            self._trim(cast(Delta, event))
        elif closes_step(cast(Fact, event)):
            self.unstored = without_step(self.unstored, event.step)

    def _trim(self, row: Delta) -> None:
        beyond = (from_offset(chunk, end_of(row)) for chunk in self.unstored.pop(row.part, []))
        if left := [chunk for chunk in beyond if chunk is not None]:
            self.unstored[row.part] = left


class Draft:
    """What one transaction would add to a journal; the journal itself changes only by `settle`."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.ledger = Ledger(journal.ledger)
        self.last_seq = journal.last_seq
        self.unstored: Unstored = {part: list(chunks) for part, chunks in journal.unstored.items()}
        self.rows: list[StoredEvent] = []
        self.closed: set[int] = set()
        self.news: list[Item] = []
        self.has_appends = False

    def append(self, events: Sequence[Fact | Delta]) -> Appended:
        """Stage all of `events`, or none.

        Raises:
            Conflict: one of them comes from a stale attempt, or the run is over.
        """
        admitted = admit(self.ledger, events)
        self.has_appends = True
        for event in admitted.events:
            if is_delta(event):
                self._stage_delta(cast(Delta, event))
            else:
                self._stage_fact(cast(Fact, event))
        return Appended(accepted=len(events) - admitted.refused, behind=admitted.behind)

    def flush(self) -> None:
        """Stage a row for each part that has live chunks."""
        for chunks in self.unstored.values():
            self._stage_row(joined(chunks))
        self.unstored = {}

    def _stage_fact(self, fact: Fact) -> None:
        if closes_step(fact):
            self.closed.add(fact.step)
            self.unstored = without_step(self.unstored, fact.step)
        self.flush()
        self._stage_row(fact)

    def _stage_delta(self, delta: Delta) -> None:
        self.unstored.setdefault(delta.part, []).append(delta)
        self.news.append(Item(delta))

    def _stage_row(self, event: Fact | Delta) -> None:
        self.last_seq += 1
        self.rows.append(StoredEvent(self.last_seq, event))
        self.news.append(Item(event, self.last_seq))


def joined(chunks: Sequence[Delta]) -> Delta:
    """One delta that says what contiguous chunks of one part say."""
    first = chunks[0]
    if len(chunks) == 1:
        return first
    return first.model_copy(update={"content": "".join(chunk.content for chunk in chunks)})


def without_step(unstored: Unstored, step: int) -> Unstored:
    return {part: chunks for part, chunks in unstored.items() if chunks[0].step != step}
