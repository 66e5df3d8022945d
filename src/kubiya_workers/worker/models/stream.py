"""The chunks in the bytes of a streamed answer, read as they come."""

import json
from typing import Any, cast

from pydantic_core import from_json

from .errors import UpstreamError, is_retryable, message_in

DONE = "[DONE]"
_LARGEST = 8 * 1024 * 1024
"""Bytes of one line; more is no chunk of any model's."""


class ChunkReader:
    """Splits server-sent events into the JSON objects of their `data:` lines; bytes may be cut anywhere.

    `done` turns true at `[DONE]`. Other lines (comments, event names) mean nothing in this protocol.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.done = False

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The chunks that `data` completes.

        Raises:
            UpstreamError: a line is not JSON, is too long, or the server reports an error in the stream.
        """
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LARGEST:
            raise UpstreamError("the model's stream has a line of more than 8 MiB")
        return [chunk for line in lines if (chunk := self._chunk(line)) is not None]

    def close(self) -> list[dict[str, Any]]:
        """The chunk in a last line that has no line end."""
        return self.feed(b"\n") if self._rest else []

    def _chunk(self, line: bytes) -> dict[str, Any] | None:
        if not line.startswith(b"data:"):
            return None
        text = line[5:].strip()
        if not text or self.done:
            return None
        if text == DONE.encode():
            self.done = True
            return None
        return checked(text)


def checked(text: bytes) -> dict[str, Any]:
    """The JSON object in `text`; bytes that are not UTF-8 are replaced.

    Raises:
        UpstreamError: it is none, or it is an error that the server reports.
    """
    try:
        value = _parsed(text.decode("utf-8", "replace"))
    except ValueError:
        raise UpstreamError(f"the model's answer is not valid JSON: {_excerpt(text)}") from None
    if not isinstance(value, dict):
        raise UpstreamError(f"the model's answer is not a JSON object: {_excerpt(text)}")
    chunk = cast(dict[str, Any], value)
    if chunk.get("error") and not chunk.get("choices"):
        raise _reported(chunk["error"], text)
    return chunk


def _parsed(text: str) -> object:
    """JSON, with halves of surrogate pairs replaced: they are escapes that no text may hold, yet models write them."""
    try:
        return from_json(text)
    except ValueError:
        loose = json.dumps(json.loads(text), ensure_ascii=False)
        return from_json(loose.encode("utf-8", "replace"))


def _reported(error: object, text: bytes) -> UpstreamError:
    code = cast(dict[str, Any], error).get("code") if isinstance(error, dict) else None
    status = int(code) if isinstance(code, int | str) and str(code).isdigit() else None
    words = message_in(text) or "no reason given"
    retryable = status is None or is_retryable(status)
    return UpstreamError(f"the model failed while it answered: {words}", status=status, retryable=retryable)


def _excerpt(text: bytes) -> str:
    return repr(text[:80].decode("utf-8", "replace"))
