"""Secrets are gone in every form, and it makes no difference where a stream was cut."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.observability.redaction import REPLACEMENT, ErrorRedactor, Redactor

SECRET = 'p@ss/w"örd +1%'
LETTERS = "ab/=é"
SECRETS = st.lists(st.text(LETTERS, min_size=6, max_size=9), max_size=4)


def streamed(redactor: Redactor, text: str, cuts: list[int]) -> str:
    stream, begin, shown = redactor.stream(), 0, ""
    for end in sorted(min(cut, len(text)) for cut in cuts):
        shown += stream.feed(text[begin:end])
        begin = end
    return shown + stream.feed(text[begin:]) + stream.close()


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="")
        .replace("%C3%B6", "%c3%b6")
        .replace("%2F", "%2f")
        .replace("%22", "%22")
        .replace("%2B", "%2b"),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    ],
)
def test_every_form_of_a_value_is_redacted(form: str) -> None:
    assert Redactor([SECRET]).text(f"<{form}>") == f"<{REPLACEMENT}>"


@given(st.binary(max_size=6), st.binary(max_size=6), st.text(min_size=6, max_size=30))
def test_base64_is_redacted_wherever_the_value_stands_in_it(before: bytes, after: bytes, secret: str) -> None:
    data = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(data).decode()
        redacted = Redactor([secret]).text(encoded)
        assert REPLACEMENT in redacted
        # What is left is what the neighbours decide, and at most a character on either side.
        assert len(redacted.replace(REPLACEMENT, "").rstrip("=")) <= len(before) * 8 // 6 + len(after) * 8 // 6 + 4


@given(SECRETS, st.text(LETTERS, max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_any_split_gives_the_same_as_the_whole(secrets: list[str], text: str, cuts: list[int]) -> None:
    redactor = Redactor(secrets)
    assert streamed(redactor, text, cuts) == redactor.text(text)


@given(SECRETS.filter(bool), st.data())
def test_any_split_of_a_text_with_secrets_is_the_same(secrets: list[str], data: st.DataObject) -> None:
    parts = st.sampled_from([*secrets, *(quote(secret, safe="") for secret in secrets), "a", "/", "aé"])
    text = "".join(data.draw(st.lists(parts, max_size=6)))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    redactor = Redactor(secrets)
    whole = redactor.text(text)
    assert streamed(redactor, text, cuts) == whole
    assert streamed(redactor, text, list(range(len(text)))) == whole
    assert not any(secret in whole for secret in secrets)


@given(st.lists(st.integers(0, 120), max_size=12))
def test_the_errors_of_a_stream_hold_no_secret_wherever_it_is_cut(cuts: list[int]) -> None:
    token, failure = (
        b'data: {"content": "sk-1234567"}\n\n',
        b'data: {"error": "bad key sk-1234567, c2stMTIzNDU2Nw=="}\n\n',
    )
    errors, begin, shown = ErrorRedactor(Redactor(["sk-1234567"])), 0, b""
    for end in sorted(cuts):
        shown += errors.feed((token + failure)[begin:end])
        begin = end
    shown += errors.feed((token + failure)[begin:]) + errors.close()
    assert shown.startswith(b'data: {"content": "')
    assert shown.endswith(b'"error": "bad key [redacted], [redacted]w=="}\n\n')


@given(st.binary(max_size=60), st.integers(0, 60))
def test_without_an_error_every_byte_of_a_stream_passes_at_once(data: bytes, cut: int) -> None:
    errors = ErrorRedactor(Redactor(["sk-1234567"]))
    assert errors.feed(data[:cut]) + errors.feed(data[cut:]) == data
    assert errors.close() == b""


@given(st.text(max_size=50))
def test_without_secrets_nothing_changes_and_nothing_waits(text: str) -> None:
    stream = Redactor([]).stream()
    assert (stream.feed(text), stream.close()) == (text, "")


def test_ordinary_text_passes_at_once() -> None:
    stream = Redactor(["hunter2-hunter2"]).stream()
    assert stream.feed("Nothing secret here.") == "Nothing secret here."
    assert stream.feed("the hunter") == "the "
    assert stream.feed(" came") == "hunter came"


def test_the_longest_wins() -> None:
    assert Redactor(["secret", "secret-longer"]).text("secret-longer secret") == f"{REPLACEMENT} {REPLACEMENT}"


def test_short_values_are_left_alone() -> None:
    assert Redactor(["", "true", "12345"]).text("true 12345") == "true 12345"


def test_the_lines_of_a_long_secret_count_on_their_own() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nshort\n"
    assert Redactor([key]).text("  1  MIIEvQIBADANBgkqhkiG9w0") == f"  1  {REPLACEMENT}"
    assert Redactor(["value-with-newline\n"]).text("[value-with-newline]") == f"[{REPLACEMENT}]"


def test_values_can_be_added_and_are_never_shown() -> None:
    redactor = Redactor(["first-value"]).also(["second-value"])
    assert redactor.text("first-value second-value") == f"{REPLACEMENT} {REPLACEMENT}"
    assert "value-" not in repr(redactor) and "first" not in repr(redactor)


def test_large_texts_are_fast_enough() -> None:
    redactor = Redactor([f"secret-value-{number}" for number in range(20)])
    stream = redactor.stream()
    size = sum(len(stream.feed("x" * 65_536)) for _ in range(80))
    assert size == 80 * 65_536
