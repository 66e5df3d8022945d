"""What a forwarded call used, read from its answer without decoding more of it than the end."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import from_json

from kubiya_workers.contracts.chat import usage_of
from kubiya_workers.contracts.messages import Usage

_TAIL = 8192
"""Bytes at the end of a stream that hold its last events."""


class StreamTail:
    """Remembers the end of a stream, which is where its usage is."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> None:
        self._tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]

    def usage(self) -> Usage:
        """The usage in the last event that has one; zeros when none does."""
        for line in reversed(self._tail.split(b"\n")):
            if line.startswith(b"data:") and b'"usage"' in line:
                usage = usage_in(line[5:])
                if usage.total_tokens:
                    return usage
        return Usage()

    def tells_of_error(self) -> bool:
        """Whether the last event but `[DONE]` is an error: what goes wrong in a stream has no other place."""
        for line in reversed(self._tail.split(b"\n")):
            if line.startswith(b"data:") and not line.startswith(b"data: [DONE]"):
                return line[5:].lstrip().startswith(b'{"error"')
        return False


def usage_in(body: bytes) -> Usage:
    """The usage in a whole JSON answer; zeros when there is none to be found."""
    try:
        answer: object = from_json(body)
    except ValueError:
        return Usage()
    return usage_of(cast(Mapping[str, Any], answer).get("usage")) if isinstance(answer, dict) else Usage()
