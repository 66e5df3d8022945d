"""Streams as different servers write them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.chat import usage_of
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.worker.models.assembly import Assembly
from kubiya_workers.worker.models.errors import UpstreamError, message_in, seconds_until
from kubiya_workers.worker.models.stream import ChunkReader, checked

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = st.sampled_from(
    ["choices", "delta", "message", "content", "tool_calls", "function", "usage", "index", "id", "text"]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "content", "tool_calls", "function", "usage", "index", "id", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
)


def _assembled(*deltas: dict[str, Any], finish: str = "stop") -> Assembly:
    assembly = Assembly("m", 3)
    for delta in deltas:
        assembly.feed({"choices": [{"delta": delta}]})
    assembly.feed({"choices": [{"delta": {}, "finish_reason": finish}]})
    return assembly


def _piece(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [fields]}


def test_tool_calls_are_put_together_by_index_id_or_order() -> None:
    parts: list[list[dict[str, Any]]] = [
        [
            _piece(index=1, id="b", function={"name": "two", "arguments": "{"}),
            _piece(index=0, id="a", function={"name": "one", "arguments": "{}"}),
            _piece(index=1, function={"arguments": "}"}),
        ],
        [
            _piece(id="a", function={"name": "one", "arguments": "{}"}),
            _piece(id="b", function={"name": "two", "arguments": "{"}),
            _piece(id="b", function={"arguments": "}"}),
        ],
        [
            _piece(id="a", function={"name": "one", "arguments": "{}"}),
            _piece(id="b", function={"name": "two", "arguments": "{"}),
            _piece(function={"arguments": "}"}),
        ],
    ]
    for deltas in parts:
        calls = _assembled(*deltas).reply().message.tool_calls
        assert [(call.id, call.name, call.arguments) for call in calls] == [("a", "one", "{}"), ("b", "two", "{}")]


def test_calls_without_ids_and_with_parsed_arguments() -> None:
    reply = _assembled(_piece(function={"name": "f", "arguments": {"x": 1}}), _piece(function={"name": "g"})).reply()
    assert [(call.id, call.arguments) for call in reply.message.tool_calls] == [
        ("call_3_0", '{"x":1}'),
        ("call_3_1", "{}"),
    ]
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize(("said", "meant"), [("end_turn", "stop"), ("max_tokens", "length"), ("length", "length")])
def test_reasons_to_finish(said: str, meant: str) -> None:
    assert _assembled({"content": "x"}, finish=said).reply().finish_reason == meant


def test_odd_streams_still_make_a_reply() -> None:
    assembly = Assembly("m", 1)
    assembly.feed({"choices": []})
    assembly.feed({"choices": None, "usage": None})
    assembly.feed({"choices": [{"delta": {"content": [{"type": "text", "text": "parts"}]}}]})
    assert assembly.feed({"choices": [{"delta": {"reasoning": "r"}}]}) == [("reasoning", "r")]
    assert not assembly.finished
    assembly.end(said_done=True)
    assert assembly.finished and assembly.reply().message.content == "parts"


@given(st.lists(ANY_JSON, max_size=4))
def test_any_chunk_is_survived(chunks: list[Any]) -> None:
    assembly = Assembly("m", 1)
    for chunk in chunks:
        assembly.feed(chunk if isinstance(chunk, dict) else {"choices": chunk})
    assembly.reply()


@given(ANY_JSON)
def test_any_usage_is_survived(raw: Any) -> None:
    assert usage_of(raw).total_tokens >= 0
    assert usage_of({"prompt_tokens": raw, "cost": raw}).cost_usd >= 0


def test_usage() -> None:
    raw = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "cost": 0.25,
    }
    expected = Usage(input_tokens=9, output_tokens=4, cached_tokens=5, reasoning_tokens=2, cost_usd=0.25)
    assert usage_of(raw) == expected


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=8), max_size=2)), st.data())
def test_a_stream_may_be_cut_anywhere(chunks: list[dict[str, str]], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([b"\n\n", b"\r\n\r\n", b"\n"]))
    lines = [b"data: " + json.dumps(chunk, ensure_ascii=False).encode("utf-8", "replace") for chunk in chunks]
    stream = b": comment" + end + end.join([*lines, b"data: [DONE]"])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = ChunkReader(), list[dict[str, Any]]()
    for begin, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[begin:stop])
    found += reader.close()
    assert reader.done and found == [json.loads(line[6:].decode("utf-8")) for line in lines]


def test_text_that_is_no_unicode_is_replaced() -> None:
    reader = ChunkReader()
    assert reader.feed(b'data: {"a": "\xff"}\n') == [{"a": "\ufffd"}]
    assert checked(b'{"a": "\\ud83d"}') == {"a": "?"}


@pytest.mark.parametrize("line", [b"{", b"[1]", b"nul"])
def test_what_is_not_a_json_object_is_a_failure_that_may_pass(line: bytes) -> None:
    with pytest.raises(UpstreamError) as failed:
        checked(line)
    assert failed.value.retryable and failed.value.status is None


def test_an_error_in_the_stream_says_its_status() -> None:
    with pytest.raises(UpstreamError, match="overloaded") as failed:
        checked(b'{"error": {"message": "overloaded", "code": 529}}')
    assert failed.value.retryable and failed.value.status == 529
    with pytest.raises(UpstreamError) as failed:
        checked(b'{"error": {"message": "no", "code": "400"}}')
    assert not failed.value.retryable


def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(UpstreamError, match="8 MiB"):
        ChunkReader().feed(b"x" * (9 * 1024 * 1024))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("1e999", None),
        ("soon", None),
        (None, None),
        ("Thu, 01 Jan 2026 00:00:09 GMT", 9.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert seconds_until(text, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_survived(text: str) -> None:
    seconds = seconds_until(text, NOW)
    assert seconds is None or seconds >= 0


def test_the_words_of_an_error() -> None:
    assert message_in(b'{"error": {"message": "a\\n b"}}') == "a b"
    assert message_in(b'{"detail": "d"}') == "d"
    assert message_in(b'{"error": "e"}') == "e"
    assert message_in(b"<h1>no</h1>") == "<h1>no</h1>"
    assert message_in(b"[]") == ""
