"""Our conversation and tools in the shape of the OpenAI API."""

from typing import Any, assert_never

from kubiya_workers.contracts.activities import ModelCall
from kubiya_workers.contracts.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from kubiya_workers.contracts.tools import ToolSpec


def request_body(call: ModelCall) -> dict[str, Any]:
    """The body of `POST /v1/chat/completions` for one call, streamed, with the usage at the end."""
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [_message(message) for message in call.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if call.tools:
        body["tools"] = [_tool(spec) for spec in call.tools]
    if call.answer_schema is not None:
        wanted = {"name": "answer", "strict": True, "schema": call.answer_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    if call.temperature is not None:
        body["temperature"] = call.temperature
    if call.max_output_tokens is not None:
        body["max_tokens"] = call.max_output_tokens
    return body


def _message(message: Message) -> dict[str, Any]:
    match message:
        case SystemMessage() | UserMessage():
            return {"role": message.role, "content": message.content}
        case ToolMessage():
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
        case AssistantMessage(tool_calls=()):
            return {"role": "assistant", "content": message.content}
        case AssistantMessage():
            # Several servers refuse an empty text beside tool calls; all take null.
            calls = [_tool_call(call) for call in message.tool_calls]
            return {"role": "assistant", "content": message.content or None, "tool_calls": calls}
        case _:
            assert_never(message)


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function}
