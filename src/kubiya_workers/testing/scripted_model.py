"""A scripted model behind a real OpenAI-compatible HTTP server on loopback.

Run it alone with `python -m kubiya_workers.testing.scripted_model --port N --script FILE` (see `read_script`).
"""

import argparse
import asyncio
import hashlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from pydantic_core import from_json, to_json

from .scripted_http import Connection, Server
from .scripted_replies import Reply, Script, Scripts, read_script, step_of, with_counted_usage

_CREATED = 1_700_000_000
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_EMBEDDING = [0.1, 0.2, 0.3]


@dataclass
class Recorded:
    """One request as it came in; `at` in seconds of the monotonic clock.

    `finished` turns true when the whole answer was written, `cut` when the client left before that.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    step: int = 0
    attempt: int = 0
    at: float = field(default_factory=time.monotonic)
    finished: bool = False
    cut: bool = False


class ScriptedModel:
    """The server: a context manager, or `start` and `stop`. `url` is its base URL, ending in `/v1`.

    `script` is a list of replies, or such lists by a piece of the conversation's first user message. `api_key`, when
    given, is demanded of every caller. `record=False` keeps only `count`, for benchmarks.
    """

    def __init__(
        self,
        script: Scripts | Script | Reply | Mapping[str, Script | Reply] = "Hello from the scripted model.",
        *,
        port: int = 0,
        models: tuple[str, ...] = ("scripted",),
        api_key: str | None = None,
        record: bool = True,
    ) -> None:
        self._scripts = script if isinstance(script, Scripts) else Scripts.of(script)
        self._models, self._api_key, self._record = models, api_key, record
        self._attempts: Counter[bytes] = Counter()
        self.requests: list[Recorded] = []
        self.count = 0
        self._server = Server(self._answer, port)
        self.port = self._server.port
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> Self:
        self._server.start()
        return self

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def chats(self) -> list[Recorded]:
        """The recorded chat completions, without the requests for the list of models."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    def _answer(
        self, connection: Connection, path: str, headers: dict[str, str], body: bytes
    ) -> Coroutine[Any, Any, None] | None:
        request: dict[str, Any] = from_json(body) if body else {}
        recorded = Recorded(path, headers, request)
        if self._record:
            self.requests.append(recorded)
        if self._api_key is not None and headers.get("authorization") != f"Bearer {self._api_key}":
            return _send(connection, 401, {"error": {"message": f"wrong key {headers.get('authorization')}"}})
        match path.split("?")[0].rsplit("/v1", 1)[-1]:
            case "/models":
                listed = [{"id": name, "object": "model", "owned_by": "scripted"} for name in self._models]
                return _send(connection, 200, {"object": "list", "data": listed})
            case "/embeddings":
                return _send(connection, 200, _embeddings(request))
            case "/chat/completions":
                return self._chat(connection, recorded)
            case _:
                return _send(connection, 404, {"error": {"message": f"no such path: {path}"}})

    def _chat(self, connection: Connection, recorded: Recorded) -> Coroutine[Any, Any, None] | None:
        messages: list[dict[str, Any]] = recorded.body.get("messages", [])
        attempts = self._scripts.attempts(messages)
        recorded.step = step_of(messages)
        if len(attempts) > 1:
            conversation = hashlib.blake2b(to_json(messages), digest_size=16).digest()
            recorded.attempt = self._attempts[conversation]
            self._attempts[conversation] += 1
        self.count += 1
        reply = with_counted_usage(attempts[min(recorded.attempt, len(attempts) - 1)], messages)
        pieces = _answer_pieces(reply, recorded.body, f"chatcmpl-{self.count}", recorded.step)
        if reply.delay_s or reply.tokens_per_s or reply.breaks is not None:
            return _paced(connection, recorded, reply, pieces)
        connection.write(b"".join(pieces))
        recorded.finished = True
        return None


async def _paced(connection: Connection, recorded: Recorded, reply: Reply, pieces: Iterator[bytes]) -> None:
    """Write the pieces at their times and break off where the script says so; cancelled when the client leaves."""
    try:
        await asyncio.sleep(reply.delay_s)
        loop = asyncio.get_running_loop()
        begun, pause = loop.time(), 1 / reply.tokens_per_s if reply.tokens_per_s else 0.0
        for index, piece in enumerate(pieces):
            if pause and index > 0:
                await asyncio.sleep(max(0.0, begun + index * pause - loop.time()))
            connection.write(piece)
        match reply.breaks.kind if reply.breaks else None:
            case "stall":
                await asyncio.Event().wait()
            case "close":
                connection.abort()
            case _:
                recorded.finished = True
    except asyncio.CancelledError:
        recorded.cut = True
        raise


def _answer_pieces(reply: Reply, request: dict[str, Any], call_id: str, step: int) -> Iterator[bytes]:
    """The bytes of the answer, in pieces that may be written one by one."""
    if reply.status >= 400:
        yield _whole(reply.status, reply.body, reply.retry_after)
    elif request.get("stream"):
        yield from _broken(reply, _streamed(reply, request, call_id, step))
    elif reply.breaks is None:
        yield _whole(200, _completion(reply, request, call_id, step))
    elif reply.breaks.kind == "garbage":
        yield _whole(200, "{not json")


def _broken(reply: Reply, events: Iterator[bytes]) -> Iterator[bytes]:
    """The head and the events of a stream, up to where the script breaks it."""
    yield (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    for index, event in enumerate(events):
        if reply.breaks is not None and index == reply.breaks.after:
            if reply.breaks.kind in ("stall", "close"):
                return
            if reply.breaks.kind == "error":
                yield _http_chunk(b"data: " + to_json({"error": {"message": reply.breaks.message}}) + b"\n\n")
                break
            yield _http_chunk(b"data: {not json\n\n")
        yield _http_chunk(event)
    yield b"0\r\n\r\n"


def _streamed(reply: Reply, request: dict[str, Any], call_id: str, step: int) -> Iterator[bytes]:
    base = {"id": call_id, "object": "chat.completion.chunk", "created": _CREATED, "model": request.get("model")}
    before, after = to_json(base)[:-1] + b',"choices":[{"index":0,"delta":', b',"finish_reason":null}]}\n\n'

    def delta(value: dict[str, Any]) -> bytes:
        return b"data: " + before + to_json(value) + after

    for word in [reply.reasoning] if reply.reasoning else []:
        yield delta({"reasoning_content": word})
    for index, piece in enumerate(reply.pieces):
        yield delta({"role": "assistant", "content": piece} if index == 0 else {"content": piece})
    for index, call in enumerate(_calls(reply, step)):
        head, arguments = {**call, "function": {**call["function"], "arguments": ""}}, call["function"]["arguments"]
        yield delta({"tool_calls": [{"index": index, **head}]})
        for at in range(0, len(arguments), 24):
            yield delta({"tool_calls": [{"index": index, "function": {"arguments": arguments[at : at + 24]}}]})
    yield b"data: " + before + b'{},"finish_reason":' + to_json(reply.finish) + b"}]}\n\n"
    if reply.usage is not None and (request.get("stream_options") or {}).get("include_usage"):
        yield b"data: " + to_json({**base, "choices": [], "usage": dict(reply.usage)}) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _completion(reply: Reply, request: dict[str, Any], call_id: str, step: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply, step)
    return {
        "id": call_id,
        "object": "chat.completion",
        "created": _CREATED,
        "model": request.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
        **({"usage": dict(reply.usage)} if reply.usage is not None else {}),
    }


def _calls(reply: Reply, step: int) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{step}_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.text},
        }
        for index, call in enumerate(reply.tool_calls)
    ]


def _embeddings(request: dict[str, Any]) -> dict[str, Any]:
    given = request.get("input")
    count = len(given) if isinstance(given, list) else 1  # pyright: ignore[reportUnknownArgumentType]
    data = [{"object": "embedding", "index": index, "embedding": _EMBEDDING} for index in range(count)]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "model": request.get("model"), "data": data, "usage": usage}


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(status: int, body: Any, retry_after: str | float | None = None) -> bytes:
    content = body.encode() if isinstance(body, str) else to_json(body)
    later = f"retry-after: {retry_after}\r\n" if retry_after is not None else ""
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Scripted')}\r\ncontent-type: application/json\r\n{later}"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


def _send(connection: Connection, status: int, body: Any) -> None:
    connection.write(_whole(status, body))


def main() -> None:
    """Serve a script until SIGINT or SIGTERM; the first line on stdout is the base URL."""
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible model.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--script", type=Path, help="YAML or JSON file with the replies")
    given = parser.parse_args()
    scripts = read_script(given.script) if given.script else Scripts.of("Hello from the scripted model.")
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with ScriptedModel(scripts, port=given.port, record=False) as model:
        print(model.url, flush=True)  # noqa: T201 - the one line a caller waits for
        ended.wait()


if __name__ == "__main__":
    main()
