"""Output within its limit, whatever its bytes and however it is cut into chunks."""

from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.worker.tools.output import CappedOutput, LiveOutput, capped, readable

CHUNKS = st.lists(st.binary(max_size=30) | st.text(max_size=10).map(str.encode), max_size=20)


def kept(chunks: list[bytes], limit: int) -> CappedOutput:
    output = CappedOutput(limit)
    for chunk in chunks:
        output.feed(chunk)
    return output


@given(CHUNKS, st.integers(0, 100))
def test_the_cut_does_not_depend_on_the_chunks(chunks: list[bytes], limit: int) -> None:
    assert kept(chunks, limit).text() == kept([b"".join(chunks)], limit).text()


@given(CHUNKS)
def test_what_fits_is_whole(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    output = kept(chunks, len(whole))
    assert output.text() == readable(whole.decode("utf-8", "replace"))
    assert output.left_out == 0


@given(st.text(min_size=1, max_size=200), st.integers(0, 100))
def test_valid_text_stays_valid_and_within_its_limit(text: str, limit: int) -> None:
    cut, left_out = capped(text, limit)
    size = len(text.encode())
    assert left_out == max(0, size - limit)
    if left_out:
        head, _, tail = cut.partition(f"\n[… {left_out} bytes left out …]\n")
        assert "\ufffd" not in readable(cut) or "\ufffd" in readable(text)
        assert readable(text).startswith(head) and readable(text).endswith(tail)


def test_memory_does_not_grow_with_the_output() -> None:
    output = CappedOutput(1000)
    for _ in range(1000):
        output.feed(b"x" * 10_000)
    held = [value for value in vars(output).values() if isinstance(value, bytearray)]
    assert sum(map(len, held)) < 100_000
    assert output.left_out == 10_000_000 - 1000


@given(CHUNKS)
def test_live_output_is_the_same_text(chunks: list[bytes]) -> None:
    shown: list[str] = []
    live = LiveOutput(10_000, shown.append)
    for chunk in chunks:
        live.feed(chunk)
    live.close()
    assert "".join(shown) == readable(b"".join(chunks).decode("utf-8", "replace"))


@given(CHUNKS, st.integers(1, 50))
def test_live_output_is_bounded_and_says_so(chunks: list[bytes], limit: int) -> None:
    shown: list[str] = []
    live = LiveOutput(limit, shown.append)
    for chunk in chunks:
        live.feed(chunk)
    live.close()
    text = "".join(shown)
    assert len(text) <= limit + 60
    assert ("more output follows" in text) == (len(b"".join(chunks)) > limit)
