"""What can go wrong in a model call, and whether another attempt can help."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from pydantic_core import from_json

from kubiya_workers.contracts.models import LITELLM_RETRY_AFTER
from kubiya_workers.observability.redaction import Redactor

_RETRYABLE = frozenset({408, 409, 425, 429})
_LONGEST = 600
"""Characters of a server's own words that are kept."""


class UpstreamError(Exception):
    """A model call failed. `status` is the HTTP status, None when there was no answer or it broke off.

    `retry_after` is in seconds from now, as the server asked.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retryable: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after

    def redacted(self, redactor: Redactor) -> "UpstreamError":
        """The same without secrets. It is raised `from None`: Temporal stores the words of causes, too."""
        return UpstreamError(
            redactor.text(self.message),
            status=self.status,
            retryable=self.retryable,
            retry_after=self.retry_after,
        )


def is_retryable(status: int) -> bool:
    """Whether the same request may be answered better later."""
    return status in _RETRYABLE or status >= 500


def of_response(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> UpstreamError:
    """The failure that an HTTP answer of 300 or more tells of."""
    words = message_in(body) or f"no reason given (HTTP {status})"
    return UpstreamError(
        f"the model call was refused with HTTP {status}: {words}",
        status=status,
        retryable=is_retryable(status),
        retry_after=seconds_until(headers.get("retry-after") or headers.get(LITELLM_RETRY_AFTER), now),
    )


def message_in(body: bytes | str) -> str:
    """The server's own words in an error body, in whichever of the usual shapes it is; "" when there are none."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        found = _words(from_json(text))
    except ValueError:
        found = text
    return " ".join(found.split())[:_LONGEST]


def _words(value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    fields = cast(dict[str, Any], value)
    return next((words for key in ("error", "message", "detail") if (words := _words(fields.get(key)))), "")


def seconds_until(retry_after: str | None, now: datetime) -> float | None:
    """`Retry-After` as seconds from `now`: it is a number of seconds or an HTTP date; None when it is neither."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _until_date(retry_after, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until_date(text: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return math.nan
    return ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()
