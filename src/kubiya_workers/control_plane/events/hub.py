"""Who follows which execution in this process: one bounded queue a reader, filled without ever waiting for one."""

import asyncio
from collections.abc import Sequence

from kubiya_workers.contracts.ids import ExecutionId

from .item import Item

QUEUE_LIMIT = 1_000
"""Events a reader may be behind; beyond it the queue is dropped, and the reader replays from storage."""


class Subscription:
    """One reader's queue. `overflowed` says that something was dropped, `closed` that nothing will follow."""

    def __init__(self, backlog: Sequence[Item], limit: int) -> None:
        self._items = list(backlog)
        self._limit = limit
        self._waiter: asyncio.Future[None] | None = None
        self.overflowed = False
        self.closed = False

    def offer(self, items: Sequence[Item], *, wake: bool) -> None:
        if self.overflowed:
            return
        if len(self._items) + len(items) > self._limit:
            self._items.clear()
            self.overflowed = wake = True
        else:
            self._items.extend(items)
        if wake:
            self._wake()

    def close(self) -> None:
        self.closed = True
        self._wake()

    async def take(self, timeout_s: float) -> list[Item]:
        """Everything that is there, as soon as there is something; empty after the timeout, an overflow or a close."""
        if not (self._items or self.overflowed or self.closed):
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waiter
            except TimeoutError:
                return []
            finally:
                self._waiter = None
        items, self._items = self._items, []
        return items

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Hub:
    """Hands events to the readers of an execution; a slow reader costs a bounded queue and nobody's time."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._readers: dict[ExecutionId, set[Subscription]] = {}
        self._closed = False

    def subscribe(self, execution_id: ExecutionId, backlog: Sequence[Item]) -> Subscription:
        """Follow an execution from now on; `backlog` comes first."""
        subscription = Subscription(backlog, self._limit)
        subscription.closed = self._closed
        self._readers.setdefault(execution_id, set()).add(subscription)
        return subscription

    def leave(self, execution_id: ExecutionId, subscription: Subscription) -> None:
        readers = self._readers.get(execution_id)
        if readers is not None:
            readers.discard(subscription)
            if not readers:
                del self._readers[execution_id]

    def publish(self, execution_id: ExecutionId, items: Sequence[Item], *, wake: bool = True) -> None:
        """Queue `items` for each reader. Without `wake` they wait for the next ones: nobody needs to see them now."""
        for subscription in self._readers.get(execution_id, ()):
            subscription.offer(items, wake=wake)

    def followed(self, execution_id: ExecutionId) -> bool:
        return execution_id in self._readers

    @property
    def executions(self) -> tuple[ExecutionId, ...]:
        """The executions that somebody follows."""
        return tuple(self._readers)

    @property
    def readers(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._readers.values()))

    def close(self) -> None:
        """End every reader's stream, now and from now on."""
        self._closed = True
        for readers in self._readers.values():
            for subscription in readers:
                subscription.close()
