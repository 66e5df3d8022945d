"""The built-in model `kubiya/offline`: a pure function from a request to a reply, and its shapes on the wire.

It is no intelligence, and every answer says so in its first line. With a shell on offer it runs the commands in the
prompt, one a turn so that their order is certain, and then reports them; without any it tells how to configure a model.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import to_json

from kubiya_workers.contracts.models import OFFLINE_MODEL

from .commands import commands_in

LABEL = "(offline model)"

_HOW_TO = """\
No model is configured, so no model wrote this answer. To configure one, do one of these and run it again:
  export KUBIYA_LLM_BASE_URL=http://HOST:PORT/v1   # any OpenAI-compatible server; KUBIYA_LLM_API_KEY, KUBIYA_LLM_MODEL
  export OPENAI_API_KEY=KEY                        # OpenAI's models
  ollama pull qwen3                                # an Ollama on this machine is found by itself"""

_WORDS_STREAMED_ALONE = 2000
_PIECE = 4096


@dataclass(frozen=True)
class ShellCall:
    id: str
    tool: str
    command: str

    @property
    def arguments(self) -> str:
        return to_json({"command": self.command}).decode()


@dataclass(frozen=True)
class OfflineReply:
    """A text, or one tool call."""

    text: str = ""
    call: ShellCall | None = None


def reply_to(request: Mapping[str, Any]) -> OfflineReply:
    """The reply to a chat completion request, whose `messages` and `tools` may be anything."""
    messages = _objects(request.get("messages"))
    spoken = [index for index, message in enumerate(messages) if message.get("role") == "user"]
    prompt = _text(messages[spoken[-1]].get("content")) if spoken else ""
    shell, commands = _shell_among(request.get("tools")), commands_in(prompt)
    if shell is None or not commands:
        return OfflineReply(f"{LABEL}\n{_HOW_TO}\n\nYour prompt was:\n{prompt}")
    results = _results(messages[spoken[-1] :])
    if len(results) < len(commands):
        call_id = f"offline_{len(spoken)}_{len(results) + 1}"
        return OfflineReply(call=ShellCall(call_id, shell, commands[len(results)]))
    return OfflineReply(_report(commands, results))


def _report(commands: Sequence[str], results: Sequence[str]) -> str:
    """Each command with what came of it: a result begins with the line `exit status: N`, the output follows."""
    parts = [f"$ {command}\n{result.rstrip()}" for command, result in zip(commands, results, strict=False)]
    return "\n\n".join([f"{LABEL}\n{parts[0]}", *parts[1:]])


def _results(turn: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the tools answered since the last user message, in order."""
    return [_text(message.get("content")) for message in turn if message.get("role") == "tool"]


def _shell_among(tools: object) -> str | None:
    for tool in _objects(tools):
        name = _objects([tool.get("function")])[0].get("name") if isinstance(tool.get("function"), dict) else None
        if isinstance(name, str) and name.endswith("shell"):
            return name
    return None


def pieces(text: str) -> Iterator[str]:
    """`text` word by word, blanks included; after 2000 words in larger pieces, for nobody reads those live."""
    end = 0
    for count, word in enumerate(re.finditer(r"\s*\S+\s*", text)):
        if count == _WORDS_STREAMED_ALONE:
            break
        yield word[0]
        end = word.end()
    for at in range(end, len(text), _PIECE):
        yield text[at : at + _PIECE]


def completion(reply: OfflineReply, request: Mapping[str, Any], *, call_id: str, created: int) -> dict[str, Any]:
    """The answer to a request that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.call is not None:
        message["tool_calls"] = [_wire_call(reply.call)]
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    head = {"id": call_id, "object": "chat.completion", "created": created, "model": OFFLINE_MODEL}
    return {**head, "choices": [choice], "usage": usage_for(reply, request)}


def chunks(reply: OfflineReply, request: Mapping[str, Any], *, call_id: str, created: int) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed answer, the usage last where the request asks for it."""
    head = {"id": call_id, "object": "chat.completion.chunk", "created": created, "model": OFFLINE_MODEL}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(reply.text):
        yield chunk({"content": piece})
    if reply.call is not None:
        yield chunk({"tool_calls": [{"index": 0, **_wire_call(reply.call)}]})
    yield chunk({}, _finish(reply))
    options = request.get("stream_options")
    if isinstance(options, dict) and cast(dict[str, Any], options).get("include_usage"):
        yield {**head, "choices": [], "usage": usage_for(reply, request)}


def usage_for(reply: OfflineReply, request: Mapping[str, Any]) -> dict[str, int]:
    """Words counted as if they were tokens, so that budgets and meters have something true to work with."""
    prompt = sum(len(_text(message.get("content")).split()) for message in _objects(request.get("messages")))
    written = len(reply.text.split()) + (len(reply.call.command.split()) if reply.call else 0)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _finish(reply: OfflineReply) -> str:
    return "stop" if reply.call is None else "tool_calls"


def _wire_call(call: ShellCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": call.arguments}}


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast(dict[str, Any], item) for item in cast(list[object], value) if isinstance(item, dict)]


def _text(content: object) -> str:
    """A message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(text for part in _objects(content) if isinstance(text := part.get("text"), str))
