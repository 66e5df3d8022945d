"""A reply put together from the chunks of a stream, tolerant of how differently servers cut and label them."""

from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic_core import to_json

from kubiya_workers.contracts.activities import ModelReply
from kubiya_workers.contracts.chat import usage_of
from kubiya_workers.contracts.messages import AssistantMessage, ToolCall, Usage

DeltaKind = Literal["message", "reasoning"]
Delta = tuple[DeltaKind, str]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "max_tokens": "length",
}


@dataclass
class _PartialCall:
    id: str = ""
    name: str = ""
    arguments: str = ""


class Assembly:
    """Takes the chunks in order; `reply` is the whole so far.

    `finished` turns true when the model said why it stopped, after which only the usage may follow.
    """

    def __init__(self, model: str, step: int) -> None:
        self._model, self._step = model, step
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _PartialCall] = {}
        self._finish = ""
        self._usage = Usage()

    @property
    def finished(self) -> bool:
        return bool(self._finish)

    def feed(self, chunk: dict[str, Any]) -> list[Delta]:
        """Take one chunk; the texts in it that a reader should see now."""
        if isinstance(chunk.get("model"), str) and chunk["model"]:
            self._model = chunk["model"]
        if chunk.get("usage"):
            self._usage = usage_of(chunk["usage"])
        choice = _first(chunk.get("choices"))
        # Some servers send the whole message at the end, or answer a streamed request unstreamed.
        delta = _object(choice.get("delta")) or _object(choice.get("message"))
        for call in _objects(delta.get("tool_calls")):
            self._feed_call(call)
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            self._finish = _FINISH.get(finish, finish)
        return self._feed_text(delta)

    def _feed_text(self, delta: dict[str, Any]) -> list[Delta]:
        seen: list[Delta] = []
        reasoning = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        if reasoning:
            self._reasoning.append(reasoning)
            seen.append(("reasoning", reasoning))
        if text := _text(delta.get("content")):
            self._text.append(text)
            seen.append(("message", text))
        return seen

    def _feed_call(self, call: dict[str, Any]) -> None:
        function = _object(call.get("function"))
        part = self._calls.setdefault(self._index_of(call), _PartialCall())
        part.id = _text(call.get("id")) or part.id
        part.name = part.name or _text(function.get("name"))
        arguments = function.get("arguments")
        # A server that parses the arguments itself sends an object: its text is what a model would have written.
        part.arguments += arguments if isinstance(arguments, str) else _json(arguments)

    def _index_of(self, call: dict[str, Any]) -> int:
        """Which call a piece belongs to: by its index, else its id, else the last one."""
        index = call.get("index")
        if isinstance(index, int):
            return index
        known = {part.id: at for at, part in self._calls.items() if part.id}
        last = max(self._calls, default=-1)
        call_id = _text(call.get("id"))
        if call_id:
            return known.get(call_id, last + 1)
        begins = bool(_text(_object(call.get("function")).get("name")))
        return last + 1 if begins or last < 0 else last

    def end(self, *, said_done: bool) -> None:
        """The stream is over: a server that closes it properly without a reason has finished, if it said anything."""
        if said_done and not self._finish and (self._text or self._calls):
            self._finish = "stop"

    def reply(self) -> ModelReply:
        """The whole reply. Calls without an id get one that is the same at every attempt of the step."""
        calls = tuple(
            ToolCall(id=part.id or f"call_{self._step}_{at}", name=part.name, arguments=part.arguments or "{}")
            for at, part in sorted(self._calls.items())
        )
        message = AssistantMessage(content="".join(self._text), reasoning="".join(self._reasoning), tool_calls=calls)
        finish = "tool_calls" if calls and self._finish == "stop" else self._finish
        return ModelReply(message=message, usage=self._usage, model=self._model, finish_reason=finish or "stop")


def _object(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [_object(item) for item in cast(list[Any], value)] if isinstance(value, list) else []


def _first(value: object) -> dict[str, Any]:
    objects = _objects(value)
    return objects[0] if objects else {}


def _text(value: object) -> str:
    """A text that is a string or a list of parts; anything else is none."""
    if isinstance(value, str):
        return value
    return "".join(_text(part.get("text")) for part in _objects(value))


def _json(value: object) -> str:
    return to_json(value).decode() if isinstance(value, dict | list) else ""
