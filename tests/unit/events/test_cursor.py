"""Whatever comes in which order, and wherever a reader breaks off: it sees every fact once and every text exactly."""

import random
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubiya_workers.contracts.errors import Conflict, Invalid
from kubiya_workers.contracts.events import Delta, Fact, UsageReported, closes_step, fact_key
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.control_plane.events.cursor import Cursor, unseen
from kubiya_workers.control_plane.events.item import Item
from kubiya_workers.control_plane.events.journal import Draft, Journal
from kubiya_workers.control_plane.store.events import Mark, StoredEvent, end_of, is_delta

from .scene import answered, chunk, done

PARTS = st.dictionaries(st.from_regex(r"\A[0-9]{1,4}\.[0-9]{1,3}\.[mro]\Z"), st.integers(0, 10**9), max_size=5)


@given(st.integers(0, 10**12), PARTS)
def test_a_cursor_is_read_back_as_it_was_written(seq: int, seen: dict[str, int]) -> None:
    assert Cursor.parse(str(Cursor(seq, seen))) == Cursor(seq, seen)


@given(st.text(max_size=40))
def test_garbage_is_refused_in_words(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except Invalid as error:
        assert "Last-Event-ID" in error.detail
    else:
        assert int(text.split("~")[0]) == cursor.seq


@pytest.mark.parametrize(
    "text", ["", "-1", "1~", "1~1.1.m", "1~1.1.m:", "1~1.1.x:3", "1~1.1.m:3,", "٣", "1\n", "1~1.1.m:3\n", "9" * 5000]
)
def test_what_is_nearly_an_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Cursor.parse(text)


@dataclass
class Plane:
    """The log in miniature: a journal, its rows, and the rules by which the log drives them."""

    rows: list[StoredEvent] = field(default_factory=list)
    journal: Journal = field(default_factory=lambda: Journal(ExecutionId("e")))

    def live(self, delta: Delta) -> list[Item]:
        return self.journal.live((delta,))[1]

    def append(self, *events: Fact | Delta) -> list[Item]:
        draft = Draft(self.journal)
        draft.append(events)
        return self._commit(draft)

    def flush(self) -> list[Item]:
        draft = Draft(self.journal)
        draft.flush()
        return self._commit(draft)

    def _commit(self, draft: Draft) -> list[Item]:
        self.rows += draft.rows
        self.rows = [row for row in self.rows if not (is_delta(row.event) and row.event.step in draft.closed)]
        self.journal.settle(draft)
        return draft.news

    def crash(self) -> None:
        """What was not stored is gone."""
        marks = [_mark(row) for row in self.rows]
        last_seq = max([self.journal.last_seq, *(row.seq for row in self.rows)])
        self.journal = Journal(ExecutionId("e"), marks, last_seq)


def _mark(row: StoredEvent) -> Mark:
    event = row.event
    delta = is_delta(event)
    return Mark(
        seq=row.seq,
        key="" if delta else fact_key(cast(Fact, event)),
        type=event.type,
        step=event.step,
        attempt=event.attempt,
        part=cast(Delta, event).part if delta else None,
        closes_step=not delta and closes_step(cast(Fact, event)),
        end=end_of(cast(Delta, event)) if delta else 0,
    )


class Reader:
    """A client over several connections: all that it keeps between them is the last id."""

    def __init__(self) -> None:
        self.last_id = "0"
        self.text: dict[str, str] = {}
        self.facts: list[str] = []
        self.cursor = Cursor()
        self.queue: list[Item] = []
        self.connected = False

    def connect(self, plane: Plane) -> None:
        self.cursor = Cursor.parse(self.last_id)
        past = [Item(event, seq) for seq, event in plane.rows]
        self.queue = past + plane.journal.snapshot()
        self.connected = True

    def take(self, count: int) -> None:
        for item in self.queue[:count]:
            new, self.cursor = unseen(self.cursor, item.event, item.seq)
            if new is not None:
                self._see(new)
        del self.queue[:count]

    def _see(self, event: Fact | Delta) -> None:
        self.last_id = str(self.cursor)
        if is_delta(event):
            delta = cast(Delta, event)
            assert delta.offset == len(self.text.get(delta.part, "")), "a hole or a repetition"
            self.text[delta.part] = self.text.get(delta.part, "") + delta.content
        else:
            self.facts.append(fact_key(cast(Fact, event)))


def _text(step: int) -> str:
    return "".join(chr(97 + (step * 7 + at) % 26) for at in range(400))


@settings(max_examples=400)
@given(st.integers(0, 2**32), st.integers(5, 120))
def test_any_interleaving_is_seen_exactly_once(seed: int, moves: int) -> None:  # noqa: C901 - one case a move
    """Live chunks, rows, lost chunks that are sent again, and readers that come and go at any id."""
    dice = random.Random(seed)
    plane, readers = Plane(), [Reader() for _ in range(3)]
    sent, closed, facts = {1: 0, 2: 0, 3: 0}, set[int](), list[str]()

    def publish(items: list[Item]) -> None:
        for reader in readers:
            if reader.connected:
                reader.queue += items

    for at in range(moves):
        step = dice.randint(1, 3)
        match dice.choice(["chunk", "chunk", "chunk", "flush", "fact", "close", "crash", "connect", "take", "drop"]):
            case "chunk" if step not in closed:
                end = min(sent[step] + dice.randint(1, 9), 400)
                begin = max(0, sent[step] - dice.randint(0, 3))
                begin = min(begin, plane.journal.ledger.held(f"{step}.1.m"))
                publish(plane.live(chunk(_text(step)[begin:end], begin, step=step)))
                sent[step] = end
            case "flush":
                publish(plane.flush())
            case "fact":
                fact = UsageReported(step=100 + at, model="m")
                facts.append(fact_key(fact))
                publish(plane.append(fact))
            case "close" if step not in closed:
                closed.add(step)
                fact = answered(_text(step), step=step)
                facts.append(fact_key(fact))
                publish(plane.append(fact))
            case "crash":
                plane.crash()
                for reader in readers:
                    reader.connected = False
            case "connect":
                readers[step - 1].connect(plane)
            case "take":
                if readers[step - 1].connected:
                    readers[step - 1].take(dice.randint(1, 8))
            case _:
                readers[step - 1].connected = False
    publish(plane.append(done(ExecutionId("e"))))
    for reader in readers:
        if not reader.connected:
            reader.connect(plane)
        reader.take(10_000)
        assert reader.facts == [*facts, "done"]
        for step in (1, 2, 3):
            seen = reader.text.get(f"{step}.1.m", "")
            assert _text(step).startswith(seen)
            if step not in closed:
                # Nothing that is stored may be missing; what a crash lost is sent again by its publisher, or never.
                assert len(seen) >= plane.journal.ledger.held(f"{step}.1.m")


def test_a_refused_append_changes_nothing() -> None:
    plane = Plane()
    plane.append(answered("x", attempt=2))
    before = (plane.journal.last_seq, list(plane.rows))
    with pytest.raises(Conflict):
        plane.append(answered("y", step=2), answered("x", attempt=3))
    assert (plane.journal.last_seq, plane.rows) == before
    plane.append(answered("y", step=2))
    assert plane.journal.last_seq == 2
