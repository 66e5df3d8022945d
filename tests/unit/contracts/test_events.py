"""Events on the wire: one golden sample a type. A change here is a change for every reader there is."""

import json
from pathlib import Path
from typing import get_args

import pytest

from kubiya_workers.contracts.events import (
    EVENT_TYPES,
    Delta,
    Fact,
    Marker,
    closes_step,
    fact_key,
    from_wire,
    to_wire,
)

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}
KINDS = (*get_args(Fact), *get_args(Delta), *get_args(Marker))


def test_every_type_of_event_has_a_sample() -> None:
    declared = {kind.model_fields["type"].default for kind in KINDS}
    assert declared == set(EVENT_TYPES) == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_read_and_written_unchanged(name: str) -> None:
    event = from_wire(name, SAMPLES[name])
    assert event is not None
    assert event.type == name
    assert to_wire(event) == SAMPLES[name]


def test_an_unknown_type_is_skipped_and_unknown_fields_are_ignored() -> None:
    assert from_wire("from_the_future", {"anything": 1}) is None
    event = from_wire("status", {**SAMPLES["status"], "new_field": 1})
    assert event is not None
    assert to_wire(event) == SAMPLES["status"]


def test_flat_fields_are_read_like_nested_ones() -> None:
    nested = SAMPLES["tool_started"]
    flat = {**nested["data"], **{name: nested[name] for name in ("timestamp", "step", "attempt")}}
    assert from_wire("tool_started", flat) == from_wire("tool_started", nested)


def test_a_fact_is_named_by_step_attempt_and_type() -> None:
    keys = [fact_key(event) for event in map(sample, SAMPLES) if isinstance(event, get_args(Fact))]
    assert len(keys) == len(set(keys))
    message = sample("message")
    again = message.model_copy(update={"content": "other"})
    later = message.model_copy(update={"attempt": 2})
    assert fact_key(message) == fact_key(again) != fact_key(later)  # type: ignore[arg-type]


def test_only_messages_and_completed_tools_close_a_step() -> None:
    closing = {n for n in SAMPLES if isinstance(sample(n), get_args(Fact)) and closes_step(sample(n))}  # type: ignore[arg-type]
    assert closing == {"message", "tool_completed"}


def sample(name: str) -> Fact | Delta | Marker:
    event = from_wire(name, SAMPLES[name])
    assert event is not None
    return event
