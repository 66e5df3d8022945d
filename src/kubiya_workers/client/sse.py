"""Server-sent events: parsed as they come, and followed across broken connections."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from kubiya_workers.contracts.errors import Refusal, Unavailable
from kubiya_workers.contracts.events import (
    Connected,
    Delta,
    Done,
    Fact,
    HistoryComplete,
    Marker,
    from_wire,
)

from .errors import Unreadable, refusal_of

SILENCE_S = 45.0
"""Three keepalives that did not come: the connection is dead, whatever TCP thinks."""
PATIENCE_S = 60.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream; `id` is the last one that the stream gave."""

    id: str
    event: str
    data: str


class EventStreamParser:
    """The event stream format (WHATWG HTML, 9.2.6), incremental: bytes may be cut anywhere.

    An event that the end of the stream cuts off is dropped, as the format wants it.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._last_id = ""
        self._event = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that `data` completes."""
        buffer = self._rest + data if self._rest else data
        if not self._begun:
            if len(buffer) < 3 and b"\xef\xbb\xbf".startswith(buffer):
                self._rest = buffer
                return []
            buffer = buffer.removeprefix(b"\xef\xbb\xbf")
            self._begun = True
        # A CR at the very end may be the first half of a CRLF: it waits for what follows.
        held = b"\r" if buffer.endswith(b"\r") else b""
        whole = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, last = whole.split(b"\n")
        self._rest = last + held
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        match name:
            case b"event":
                self._event = text
            case b"data":
                self._data.append(text)
            case b"id" if "\0" not in text:
                self._last_id = text
            case _:
                pass  # a comment, or a field that this version does not know
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        if not data:
            return None
        return ServerSentEvent(self._last_id, event or "message", "\n".join(data))


async def follow(
    client: httpx.AsyncClient, url: str, *, last_event_id: str | None = None, patience_s: float = PATIENCE_S
) -> AsyncIterator[tuple[str, Fact | Delta | Marker]]:
    """Every event after `last_event_id` with its id, until `done`; reconnects where it was after a broken connection.

    `connected` and `history_complete` come once. Event types that this version does not know are skipped.

    Raises:
        Refusal: the control plane refuses (4xx).
        httpx.HTTPError, Unavailable: it could not be reached for `patience_s`.
    """
    state = _Following(client, url, last_event_id)
    delay, since = _FIRST_DELAY_S, time.monotonic()
    while not state.over:
        try:
            async with contextlib.aclosing(state.once()) as events:
                async for item in events:
                    delay, since = _FIRST_DELAY_S, time.monotonic()
                    yield item
        except (httpx.TransportError, Unavailable):
            if time.monotonic() - since > patience_s:
                raise
        if not state.over:
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_S)


class _Following:
    def __init__(self, client: httpx.AsyncClient, url: str, last_event_id: str | None) -> None:
        self._client = client
        self._url = url
        self._last_id = last_event_id
        self._greeted: set[str] = set()
        self.over = False

    async def once(self) -> AsyncGenerator[tuple[str, Fact | Delta | Marker], None]:
        """One connection's events."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        timeout = httpx.Timeout(10.0, read=SILENCE_S)
        async with self._client.stream("GET", self._url, headers=headers, timeout=timeout) as response:
            if response.status_code == 204:
                self.over = True
                return
            await check_stream(response)
            parser = EventStreamParser()
            async for data in response.aiter_raw():
                for raw in parser.feed(data):
                    event = self._typed(raw)
                    self._last_id = raw.id or self._last_id
                    if event is not None:
                        self.over = isinstance(event, Done)
                        yield raw.id, event
                    if self.over:
                        return

    def _typed(self, raw: ServerSentEvent) -> Fact | Delta | Marker | None:
        try:
            event = from_wire(raw.event, json.loads(raw.data))
        except (ValueError, TypeError, AttributeError, ValidationError):
            raise Unreadable(
                f"the stream has a {raw.event!r} event that this version cannot read",
                fix="Use a client of the same version as the control plane.",
            ) from None
        if isinstance(event, Connected | HistoryComplete):
            if event.type in self._greeted:
                return None
            self._greeted.add(event.type)
        return event


async def check_stream(response: httpx.Response) -> None:
    """Raises `Refusal` when this is no event stream; `Unavailable` where it may be one later."""
    if response.status_code < 300:
        kind = response.headers.get("content-type", "")
        if not kind.startswith("text/event-stream"):
            raise Unreadable(f"{response.url.path} answered with {kind or 'nothing'}, not with an event stream")
        return
    await response.aread()
    refusal: Refusal = refusal_of(response)
    if response.status_code >= 500 or response.status_code == 429:
        raise Unavailable(refusal.detail, fix=refusal.fix)
    raise refusal
