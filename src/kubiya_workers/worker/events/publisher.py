"""The publisher of one attempt of one step."""

import asyncio
import random
from functools import partial
from types import TracebackType
from typing import Literal, Self

import httpx

from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.errors import Conflict, Refusal, TooManyRequests
from kubiya_workers.contracts.events import Delta, Fact, MessageChunk, ReasoningChunk, ToolOutputChunk
from kubiya_workers.contracts.ids import ExecutionId

from .outbox import MakeDelta, Outbox
from .uplink import Uplink

PATIENCE_S = 120.0
"""How long a control plane may be away before the step gives up."""
MAX_EVENTS = 500
MAX_TEXT = 262_144
"""Characters of chunks in one request."""
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.05, 2.0


class StaleAttempt(Conflict):
    """Another attempt of this step has taken over, or the run is over: nothing of this attempt counts any more."""


class Publisher:
    """Use as an async context manager. One request is on its way at a time, so that order holds; the first event of a
    silence is sent at once, and what comes while a request is on its way goes together with the next one.

    Publishers that share an `uplink` share its requests; without one, this publisher has its own.

    After a failure everything raises it: `StaleAttempt`, `Unauthorized` when the worker's token was revoked, or the
    last refusal of a control plane that stayed away for `patience_s`.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        execution_id: ExecutionId,
        *,
        step: int,
        attempt: int,
        uplink: Uplink | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._uplink = uplink or Uplink(http)
        self._execution_id = execution_id
        self._step, self._attempt = step, attempt
        self._patience_s = patience_s
        self._outbox = Outbox()
        self._work = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._failure: Exception | None = None
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._send_for_ever(), name=f"publish-{self._execution_id}-{self._step}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was not flushed is given up."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def fact(self, event: Fact) -> None:
        """Queue a fact; `flush` waits until it is stored."""
        self._check()
        self._outbox.add_fact(event)
        self._wake()

    async def flush(self) -> None:
        """Return when everything said so far was acknowledged: its facts are stored."""
        await self._settled.wait()
        self._check()

    def on_model_delta(self, kind: Literal["message", "reasoning"], text: str) -> None:
        """A piece of the model's answer or of its reasoning."""
        make = MessageChunk if kind == "message" else ReasoningChunk
        self._text(kind, text, partial(self._chunk, make, f"msg-{self._step}"))

    def on_tool_output(self, text: str) -> None:
        """A piece of what a tool writes."""
        self._text("output", text, self._output)

    def _text(self, name: str, text: str, make: MakeDelta) -> None:
        self._check()
        if text:
            self._outbox.add_text(name, text, make)
            self._wake()

    def _chunk(
        self, kind: type[MessageChunk] | type[ReasoningChunk], message_id: str, content: str, offset: int
    ) -> Delta:
        return kind(step=self._step, attempt=self._attempt, message_id=message_id, content=content, offset=offset)

    def _output(self, content: str, offset: int) -> Delta:
        name = f"tool-{self._step}"
        return ToolOutputChunk(
            step=self._step, attempt=self._attempt, tool_execution_id=name, content=content, offset=offset
        )

    def _wake(self) -> None:
        self._settled.clear()
        self._work.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _send_for_ever(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                while batch := self._outbox.take(most_events=MAX_EVENTS, most_text=MAX_TEXT):
                    self._rewind(await self._delivered(batch))
                self._settled.set()
        except Exception as error:  # the edge of this task: who flushes must hear of it, whatever it is
            self._failure = error
            self._settled.set()

    async def _delivered(self, batch: list[Fact | Delta]) -> Appended:
        """Send until it is acknowledged: what arrives twice is recognised by its keys and offsets."""
        loop = asyncio.get_running_loop()
        until, delay = loop.time() + self._patience_s, _FIRST_DELAY_S
        while True:
            try:
                return await self._uplink.append(self._execution_id, batch)
            except Conflict as error:
                raise StaleAttempt(error.detail, fix=error.fix) from error
            except Refusal as error:
                pause = max(delay * random.uniform(0.5, 1.0), _asked_to_wait(error))
                given_up = not _may_pass(error) or loop.time() + pause > until
                self._count(len(batch), given_up=given_up)
                if given_up:
                    raise
                await asyncio.sleep(pause)
                delay = min(2 * delay, _LONGEST_DELAY_S)

    def _count(self, events: int, *, given_up: bool) -> None:
        if (counts := self._uplink.counts) is None:
            return
        if given_up:
            counts.events_dropped(events)
        else:
            counts.events_retried()

    def _rewind(self, appended: Appended) -> None:
        names = {"m": "message", "r": "reasoning", "o": "output"}
        for part, held in appended.behind.items():
            self._outbox.rewind(names[part.rsplit(".", 1)[1]], held)


def _may_pass(error: Refusal) -> bool:
    return error.status >= 500 or error.status == 429


def _asked_to_wait(error: Refusal) -> float:
    return (error.retry_after or 0.0) if isinstance(error, TooManyRequests) else 0.0
