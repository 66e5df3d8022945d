"""A worker's one way to the event log, shared by the publishers of all its running steps.

A request costs a worker milliseconds of its processor, a chunk microseconds. So what the publishers have to say while
a request is on its way goes together with the next one: alone, a chunk is sent at once; fifty streams of fifty tokens
a second share some hundred requests instead of making 2,500.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import httpx

from kubiya_workers.client import events as event_log
from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.events import Delta, Fact
from kubiya_workers.contracts.ids import ExecutionId

LANES = 2
"""Requests on their way at once: chunks need not wait for a fact that is being committed, and few are enough."""
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class _Append:
    body: bytes
    answer: "asyncio.Future[Appended]"

    def settle(self, outcome: Appended | Exception) -> None:
        if self.answer.done():
            return  # its publisher is gone
        if isinstance(outcome, Appended):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome)


class Counts(Protocol):
    """Who is told what became of events."""

    def events_sent(self, count: int) -> None: ...
    def events_retried(self) -> None: ...
    def events_dropped(self, count: int) -> None: ...


class Uplink:
    """Carries appends; whoever needs an order between two of them waits for the first. Used inside one event loop."""

    def __init__(self, http: httpx.AsyncClient, *, lanes: int = LANES, counts: Counts | None = None) -> None:
        self._http = http
        self._lanes = lanes
        self.counts = counts
        self._waiting: deque[_Append] = deque()
        self._busy: set[asyncio.Task[None]] = set()
        self.waiting = 0
        """Events that the control plane has not taken yet."""

    async def append(self, execution_id: ExecutionId, events: Sequence[Fact | Delta]) -> Appended:
        """Add events to an execution's log; its facts are durable on return.

        Raises:
            Refusal: as the control plane answered; `client.errors.Unreachable` when no answer came.
        """
        append = _Append(event_log.encoded(execution_id, events), asyncio.get_running_loop().create_future())
        self._waiting.append(append)
        if len(self._busy) < self._lanes:
            self._busy.add(asyncio.create_task(self._carry(), name="uplink"))
        self.waiting += len(events)
        try:
            appended = await append.answer
        finally:
            self.waiting -= len(events)
        if self.counts is not None:
            self.counts.events_sent(len(events))
        return appended

    async def _carry(self) -> None:
        try:
            while together := self._take():
                for append, outcome in zip(together, await self._outcomes(together), strict=True):
                    append.settle(outcome)
        finally:
            # In the same turn as the last look for work: an append of the next one must not count on this lane.
            self._busy.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _outcomes(self, together: Sequence[_Append]) -> Sequence[Appended | Exception]:
        try:
            outcomes = await event_log.append_together(self._http, [append.body for append in together])
        except Exception as error:  # the edge of this task: each publisher hears of it, and decides
            return [error] * len(together)
        if len(outcomes) != len(together):
            return [Unavailable("the control plane did not answer each append")] * len(together)
        return outcomes

    def _take(self) -> list[_Append]:
        taken: list[_Append] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0].body) <= MAX_BYTES):
            append = self._waiting.popleft()
            size += len(append.body)
            taken.append(append)
        return taken
