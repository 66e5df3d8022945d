"""The event stream format, cut anywhere; and what readers of old and new attempts keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.client.events import Supersede
from kubiya_workers.client.sse import EventStreamParser, ServerSentEvent
from kubiya_workers.contracts.events import Connected, StatusChanged
from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.control_plane.events.item import encode

from .scene import chunk, started


def parsed(data: bytes) -> list[ServerSentEvent]:
    return EventStreamParser().feed(data)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("", "message", "a")]),
        (b"data:a\ndata:  b\n\n", [("", "message", "a\n b")]),
        (b"id: 7\nevent: x\ndata: a\n\ndata: b\n\n", [("7", "x", "a"), ("7", "message", "b")]),
        (b"\xef\xbb\xbfdata: a\r\n\r\n", [("", "message", "a")]),
        (b"data: a\r\rdata: b\r\n\n", [("", "message", "a"), ("", "message", "b")]),
        (b": keepalive\n\n: again\n\n", []),
        (b"event: x\n\ndata\n\n", [("", "message", "")]),
        (b"id: a\0b\ndata: x\n\n", [("", "message", "x")]),
        (b"id: 1\nid\ndata: x\n\n", [("", "message", "x")]),
        (b"retry: 5\nunknown: y\ndata: x\n\n", [("", "message", "x")]),
        (b"data: cut off", []),
        (b"data: \xff\xc3\x28\n\n", [("", "message", "\ufffd\ufffd(")]),
    ],
)
def test_the_format(stream: bytes, events: list[tuple[str, str, str]]) -> None:
    assert [(e.id, e.event, e.data) for e in parsed(stream)] == events


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"data: x", b"data", b"id: 3", b"event: e", b": c", b"", b"", b"data: \xc3\xa9", b"\xef\xbb\xbf"]
        ),
        st.binary(max_size=8).filter(lambda line: b"\n" not in line and b"\r" not in line),
    ),
    max_size=20,
)


@given(LINES, st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=20, max_size=20), st.data())
def test_any_split_gives_the_same(lines: list[bytes], ends: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser, events = EventStreamParser(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += parser.feed(stream[begin:end])
    assert events + parser.feed(b"\n") == parsed(stream + b"\n")


@given(st.text(max_size=200))
def test_an_event_is_one_line_of_data_whatever_it_says(content: str) -> None:
    (event,) = parsed(b"id: 5\n" + encode(chunk(content.encode(errors="replace").decode(), 0)))
    assert event.event == "message_chunk"
    assert "\n" not in event.data


def test_a_higher_attempt_supersedes_a_lower_one() -> None:
    rule = Supersede()
    kept = [
        rule.keep(event)
        for event in (
            started(),
            chunk("a", 0),
            started(attempt=2),
            chunk("b", 1),
            chunk("a", 0, attempt=2),
            started(step=2),
            StatusChanged(status=Status.RUNNING),
            Connected(execution_id=ExecutionId("e")),
        )
    ]
    assert kept == [True, True, True, False, True, True, True, True]
    assert (rule.attempt(1), rule.attempt(2), rule.attempt(3)) == (2, 1, 0)
