"""The replies of a scripted model and which of them answers a request: pure decisions, no IO.

A script is a list of replies. The one that answers is the one at the number of assistant messages that the
conversation already holds, so that the choice depends on nothing but the request: concurrent conversations and retried
calls cannot disturb each other. A tuple in the list holds the answers to successive attempts at the same conversation
(`(error(429), "done")` fails once, then answers); its last one repeats.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter
from pydantic_core import to_json


@dataclass(frozen=True)
class Call:
    """A tool call; `arguments` as text is sent as it is, however broken."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"
    id: str | None = None

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else to_json(dict(self.arguments)).decode()


@dataclass(frozen=True)
class Break:
    """How an answer goes wrong after some pieces of it: it stalls, the connection closes, it is not JSON, or it ends
    with an error that says `message`."""

    kind: Literal["stall", "close", "garbage", "error"]
    after: int = 1
    message: str = "scripted failure"


@dataclass(frozen=True)
class Reply:
    """One answer. Times in seconds; `delay_s` passes before the first byte, `tokens_per_s` paces the stream.

    A `status` of 400 or more makes it an HTTP error with `body` (JSON value, or text sent as it is). `usage` None
    leaves the usage out; the default counts words.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Call, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = field(default_factory=lambda: {"counted": True})
    delay_s: float = 0.0
    tokens_per_s: float | None = None
    status: int = 200
    retry_after: str | float | None = None
    body: Any = None
    breaks: Break | None = None

    @property
    def finish(self) -> str:
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    @property
    def pieces(self) -> list[str]:
        return words(self.text)


Entry = Reply | str | tuple[Reply | str, ...]
Script = Sequence[Entry]


def tool(name: str, arguments: str | Mapping[str, Any] = "{}", *, text: str = "") -> Reply:
    """A reply that calls one tool."""
    return Reply(text=text, tool_calls=(Call(name, arguments),))


def error(status: int, message: str = "scripted failure", *, retry_after: str | float | None = None) -> Reply:
    """An HTTP error in the shape of the OpenAI API; `retry_after` is seconds or an HTTP date."""
    body = {"error": {"message": message, "type": "scripted", "code": str(status)}}
    return Reply(status=status, body=body, retry_after=retry_after)


def stalls(text: str, after: int = 1) -> Reply:
    """The stream goes silent after some words, with the connection open."""
    return Reply(text, breaks=Break("stall", after))


def closes(text: str, after: int = 1) -> Reply:
    """The connection closes after some words."""
    return Reply(text, breaks=Break("close", after))


def garbles(text: str, after: int = 1) -> Reply:
    """An event that is not JSON comes after some words."""
    return Reply(text, breaks=Break("garbage", after))


def reports(text: str, message: str, after: int = 1) -> Reply:
    """The stream ends with an error after some words."""
    return Reply(text, breaks=Break("error", after, message))


def words(text: str) -> list[str]:
    """`text` in pieces of one word with the blanks after it; joined they are `text` again."""
    return re.findall(r"^\s+|\S+\s*", text)


def as_reply(entry: Reply | str) -> Reply:
    return Reply(entry) if isinstance(entry, str) else entry


def text_of(content: object) -> str:
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts: list[Any] = content if isinstance(content, list) else []  # pyright: ignore[reportUnknownVariableType]
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))  # pyright: ignore[reportUnknownArgumentType]


def step_of(messages: Sequence[Mapping[str, Any]]) -> int:
    """The index into the script: how often the assistant has spoken already."""
    return sum(1 for message in messages if message.get("role") == "assistant")


@dataclass(frozen=True)
class Scripts:
    """The scripts by a piece of the conversation's first user message; the empty piece fits every conversation."""

    by_prompt: Mapping[str, Script]

    @classmethod
    def of(cls, script: "Script | Reply | Mapping[str, Script | Reply]") -> "Scripts":
        """Scripts from one, or from several by prompt; a text or a reply alone is a script of one."""
        by_prompt = script if isinstance(script, Mapping) else {"": script}
        return cls({p: [s] if isinstance(s, str | Reply) else list(s) for p, s in by_prompt.items()})

    def attempts(self, messages: Sequence[Mapping[str, Any]]) -> tuple[Reply, ...]:
        """The replies to successive attempts at this request; a script that has ended answers 400, loudly."""
        prompt = next((text_of(m.get("content")) for m in messages if m.get("role") == "user"), "")
        script = max(((p, s) for p, s in self.by_prompt.items() if p in prompt), key=lambda x: len(x[0]), default=None)
        if script is None:
            return (error(400, f"no script for the prompt {prompt[:80]!r}"),)
        step = step_of(messages)
        if step >= len(script[1]):
            return (error(400, f"the script has {len(script[1])} replies and this is step {step}"),)
        entry = script[1][step]
        return tuple(map(as_reply, entry)) if isinstance(entry, tuple) else (as_reply(entry),)


_Listed = list[Reply | str | list[Reply | str]]
_FILE: TypeAdapter[Any] = TypeAdapter(_Listed | dict[str, _Listed])


def read_script(path: Path) -> Scripts:
    """A script from a YAML or JSON file: a list of replies, or a mapping of prompt pieces to lists.

    A reply is a text or a mapping with the fields of `Reply`; a list in a list holds the attempts of one step.

    Raises:
        pydantic.ValidationError: the file holds something else.
    """
    loaded = _FILE.validate_python(yaml.safe_load(path.read_text()))

    def entries(items: list[Any]) -> list[Any]:
        return [tuple(item) if isinstance(item, list) else item for item in items]  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]

    return Scripts.of({k: entries(v) for k, v in loaded.items()} if isinstance(loaded, dict) else entries(loaded))  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]


def with_counted_usage(reply: Reply, messages: Sequence[Mapping[str, Any]]) -> Reply:
    """The reply with its default usage filled in: a token is a word of the answer, and ten a message of the prompt."""
    if reply.usage is None or "counted" not in reply.usage:
        return reply
    prompt, answer = 10 * len(messages), max(1, len(reply.pieces)) + len(reply.tool_calls)
    return replace(reply, usage={"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer})
