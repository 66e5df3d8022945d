"""Data for people and for programs."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.cli.ages import age, duration
from kubiya_workers.cli.output import Format, details, encoded, table
from kubiya_workers.cli.render.neutral import neutral, one_line

ANY_TEXT = st.text(st.characters())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
OBEYED = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\n", "\t"}


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = neutral(text)
    assert not OBEYED & set(shown)
    shown.encode()  # no halves of characters either
    assert neutral(shown) == shown


@given(ANY_TEXT, st.integers(5, 100))
def test_one_line_is_one_line(text: str, width: int) -> None:
    line = one_line(text, width)
    assert len(line) <= width
    assert "\n" not in line and "\t" not in line


@given(JSON)
def test_json_reads_back_as_it_was_and_is_harmless(value: object) -> None:
    text = encoded(value, Format.JSON)
    assert json.loads(text) == value
    assert not OBEYED & set(text)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), max_size=4))
def test_yaml_reads_back_as_it_was(value: dict[str, str]) -> None:
    assert yaml.safe_load(encoded(value, Format.YAML)) == value


def test_a_table_is_aligned_and_a_cell_is_one_line() -> None:
    text = table(("ID", "NAME"), [("1", "a\nb"), ("222", None), (True, ["x", "y"])])
    assert text.splitlines() == ["ID   NAME", "1    a b", "222  -", "yes  x, y"]


def test_details_leave_out_what_is_not_there() -> None:
    text = details((("ID", "1"), ("Error", None), ("Tags", ()), ("Prompt", "two\nlines")))
    assert text.splitlines() == ["ID:      1", "Prompt:  two", "         lines"]


@pytest.mark.parametrize(("seconds", "text"), [(5, "5s"), (65, "1m"), (7300, "2h"), (200_000, "2d"), (-3, "0s")])
def test_ages(seconds: int, text: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12ms"), (3.21, "3.2s"), (125, "2m05s"), (3725, "1h02m"), (0, "0ms")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
