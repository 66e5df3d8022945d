"""Tokens, signatures and bodies of deliveries."""

import hashlib
import hmac
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.errors import Forbidden, Invalid, TooLarge
from kubiya_workers.contracts.ids import JobId
from kubiya_workers.control_plane.jobs import webhooks

JOB = JobId("6b9d6eac-942b-477e-a911-a18edcd5b7bf")


@given(st.text(min_size=1), st.integers(1, 1000), st.text())
def test_a_token_is_good_for_one_job_secret_and_number(secret: str, number: int, other: str) -> None:
    token = webhooks.token(secret, JOB, number)
    assert len(token) == 43 and token.replace("-", "").replace("_", "").isalnum()
    assert webhooks.is_token(token, secret, JOB, number)
    assert not webhooks.is_token(token, secret, JOB, number + 1)
    assert not webhooks.is_token(token, secret + "x", JOB, number)
    assert not webhooks.is_token(token, secret, JobId("another"), number)
    assert not webhooks.is_token(other, secret, JOB, number)


def test_a_signature_is_of_the_body_by_the_secret() -> None:
    body, secret = b'{"a": 1}', "a secret of the sender"
    good = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    webhooks.check_signature(secret, body, good)
    webhooks.check_signature(None, body, None)
    for header, given_body in (
        (good, body + b" "),
        ("sha256=" + "0" * 64, body),
        ("", body),
        (None, body),
        ("é", body),
    ):
        with pytest.raises(Forbidden):
            webhooks.check_signature(secret, given_body, header)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_a_payload_is_json(content_type: str) -> None:
    assert webhooks.payload_of(b'{"a": [1]}', content_type) == {"a": [1]}
    assert webhooks.payload_of(b"", None) is None


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a=1", "application/x-www-form-urlencoded"),
        (b"{}", None),
        (b"{}", "text/plain"),
        (b"{", "application/json"),
        (b"NaN", "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'"\\ud800"', "application/json"),
    ],
)
def test_all_else_is_refused(body: bytes, content_type: str | None) -> None:
    with pytest.raises(Invalid):
        webhooks.payload_of(body, content_type)


async def test_a_body_has_an_end() -> None:
    async def chunks(number: int) -> AsyncIterator[bytes]:
        for _ in range(number):
            yield b"x" * 1024

    assert len(await webhooks.received(None, chunks(1024))) == webhooks.MOST_BYTES
    with pytest.raises(TooLarge):
        await webhooks.received(None, chunks(1025))
    with pytest.raises(TooLarge):
        await webhooks.received(str(webhooks.MOST_BYTES + 1), chunks(0))
