"""Who may deliver to a webhook: the bearer of its address, and whoever signs with its secret.

The token in an address is an HMAC of the job and a number, under a secret of the database: nothing of it is stored, and
another number makes another one.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterable
from typing import Any

from pydantic_core import from_json

from kubiya_workers.contracts.errors import Forbidden, Invalid, TooLarge
from kubiya_workers.contracts.ids import JobId

SECRET = "webhooks"
"""Under which the secret of all control planes is in `settings`."""
MOST_BYTES = 1024 * 1024
MOST_A_MINUTE = 60
"""Deliveries to one job that are taken."""
_JSON = re.compile(r"application/(\S+\+)?json\s*(;.*)?", re.IGNORECASE)


def token(secret: str, job_id: JobId, number: int) -> str:
    """43 characters that are safe in an address."""
    digest = hmac.digest(secret.encode(), f"{job_id}:{number}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


def is_token(given: str, secret: str, job_id: JobId, number: int) -> bool:
    """Compared in a time that says nothing of it."""
    return hmac.compare_digest(given.encode(), token(secret, job_id, number).encode())


async def received(announced: str | None, chunks: AsyncIterable[bytes]) -> bytes:
    """A whole body; `announced` is its Content-Length.

    Raises:
        TooLarge: as soon as it is known.
    """
    too_large = TooLarge(f"a delivery has at most {MOST_BYTES:,} bytes")
    if announced is not None and announced.isdecimal() and int(announced) > MOST_BYTES:
        raise too_large
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MOST_BYTES:
            raise too_large
    return bytes(body)


def check_signature(secret: str | None, body: bytes, header: str | None) -> None:
    """By GitHub's `X-Hub-Signature-256: sha256=HEX`; a job without a secret wants none.

    Raises:
        Forbidden: it is missing, or was made with another secret or of another body.
    """
    if secret is None:
        return
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if header is None:
        raise Forbidden("deliveries to this job are signed: X-Hub-Signature-256 is missing")
    if not hmac.compare_digest(header.strip().lower().encode(), expected.encode()):
        raise Forbidden("X-Hub-Signature-256 does not fit the body and the secret of this job")


def payload_of(body: bytes, content_type: str | None) -> Any:
    """What a delivery says; None of one without a body.

    Raises:
        Invalid: it is not JSON, or says that it is not.
    """
    if not body:
        return None
    if not _JSON.fullmatch(content_type or ""):
        raise Invalid(
            f"a delivery is JSON, not {content_type or 'of an unknown type'}",
            fix="Send it with Content-Type: application/json.",
        )
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Invalid(f"the body is not JSON: {error}") from None
