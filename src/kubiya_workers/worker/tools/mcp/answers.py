"""A server's answer as a tool's outcome: its text for the model, its structured part for programs, both bounded."""

import json
from typing import Any, assert_never

import mcp_types as types

from kubiya_workers.contracts.tools import ToolStatus
from kubiya_workers.contracts.wire import JsonObject

from ..call import Outcome
from ..output import capped
from .offers import clean

_LONGEST_ERROR = 300
_LONGEST_NAME = 500


def outcome_of(result: types.CallToolResult, room: int) -> Outcome:
    """`room` is how many bytes of text are kept, and how large the structured part may be."""
    text, left_out = capped("\n".join(map(_text, result.content)), room)
    structured, too_large = _structured(result.structured_content, room)
    if not text and structured is not None:
        text = json.dumps(structured, ensure_ascii=False)
    if too_large:
        text += "\n[the structured part of the answer is too large, and left out]"
    output: JsonObject = {"text": text, "truncated": bool(left_out) or too_large}
    if structured is not None:
        output["structured"] = structured
    if result.is_error:
        first = next((line for line in text.splitlines() if line.strip()), "it says that it failed")
        return Outcome(text or first, output, ToolStatus.FAILED, clean(first, _LONGEST_ERROR))
    return Outcome(text, output)


def _structured(value: Any, room: int) -> tuple[Any, bool]:
    """The structured part, unless it is too large."""
    if value is None:
        return None, False
    size = len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return (None, True) if size > room else (value, False)


def _text(block: types.ContentBlock) -> str:
    match block:
        case types.TextContent():
            return block.text
        case types.ImageContent() | types.AudioContent():
            return f"[{block.type}: {clean(block.mime_type, 100)}, {_size(block.data)} bytes]"
        case types.ResourceLink():
            size = "" if block.size is None else f", {block.size} bytes"
            kind = f", {clean(block.mime_type, 100)}" if block.mime_type else ""
            name = clean(block.title or block.name, _LONGEST_NAME)
            return f"[resource: {name}, {clean(str(block.uri), _LONGEST_NAME)}{kind}{size}]"
        case types.EmbeddedResource():
            return _embedded(block.resource)
        case _:
            assert_never(block)


def _embedded(held: types.TextResourceContents | types.BlobResourceContents) -> str:
    uri = clean(str(held.uri), _LONGEST_NAME)
    if isinstance(held, types.TextResourceContents):
        return f"[resource: {uri}]\n{held.text}"
    return f"[resource: {uri}, {clean(held.mime_type or 'application/octet-stream', 100)}, {_size(held.blob)} bytes]"


def _size(base64: str) -> int:
    """How many bytes a text in base64 stands for."""
    return len(base64.rstrip("=")) * 3 // 4
