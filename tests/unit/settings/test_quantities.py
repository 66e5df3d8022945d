"""Amounts are read as Kubernetes and people write them, and never taken for something else."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.settings.quantities import cpus, duration, show_size, size

MEMORY = size(1, 1024**5)
CPUS = cpus(0.1, 64)
TIME = duration(1, 86_400)


@pytest.mark.parametrize(
    ("parse", "text", "amount"),
    [
        (MEMORY, "2Gi", 2 * 1024**3),
        (MEMORY, "512Mi", 512 * 1024**2),
        (MEMORY, "1.5Gi", 3 * 1024**3 // 2),
        (MEMORY, "2G", 2 * 10**9),
        (MEMORY, "1000", 1000),
        (CPUS, "1000m", 1.0),
        (CPUS, "0.5", 0.5),
        (CPUS, "2", 2.0),
        (TIME, "90", 90),
        (TIME, "90s", 90),
        (TIME, "10m", 600),
        (TIME, "12h", 43_200),
    ],
)
def test_it_reads(parse: Callable[[str], float], text: str, amount: float) -> None:
    assert parse(text) == amount


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((MEMORY, text) for text in ("2gb", "-1", "2 Gi", "Gi", "")),
        *((CPUS, text) for text in ("50m", "1000", "1k")),
        *((TIME, text) for text in ("0", "2d", "1e3", "٣", "nan", "5 m")),
    ],
)
def test_it_refuses_and_says_what_is_allowed(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        parse(text)


@given(st.text(max_size=12))
def test_no_text_does_anything_else(text: str) -> None:
    for parse in (MEMORY, CPUS, TIME):
        try:
            assert parse(text) > 0
        except ValueError as error:
            assert "such as" in str(error)


@given(st.integers(1, 2**49))
def test_what_is_shown_is_about_what_it_is(amount: int) -> None:
    assert MEMORY(show_size(amount)) == pytest.approx(amount, rel=0.06)
