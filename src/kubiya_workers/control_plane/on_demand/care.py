"""One worker on demand, looked after until nothing is left of it.

    start → (it ends, its execution goes on → start again) → the execution is over → removed

Begun anew at any moment, it goes on where it was.
"""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field

from kubiya_workers.contracts.errors import Refusal, Unavailable
from kubiya_workers.contracts.executions import Execution, ExecutionPatch, FailureReason, Status
from kubiya_workers.contracts.on_demand import KEPT_WORKER
from kubiya_workers.launchers.on_demand.port import Ending, Order, Provisioner
from kubiya_workers.launchers.upkeep.restarts import wait_before
from kubiya_workers.observability import logs

from ..auth import Auth
from ..services import provisions
from ..services.executions import Executions
from ..store.database import Database
from ..store.provisions import Provision
from .news import News, within

STARTS = 3
"""How often a worker is started for one execution."""
POLLS_WITHIN_S = 300.0
"""What a worker gets to register: an image may have to be pulled, a node to be made."""
LEAVES_WITHIN_S = 10.0
"""What a worker gets to leave by itself once its execution is over; then it is ended."""
_SAME_MOMENT_S = 3.0
"""How much later than its worker an execution may be over: the worker leaves when it hears of the end."""
_LOOK_S = 1.0
_WARM_AGAIN_S = 5.0
_NO_USE = frozenset({2, 3, 4, 6})
"""Exit statuses of a worker that the same start would bring again."""

log = logs.get(__name__)


@dataclass(frozen=True)
class Parts:
    """What every worker on demand is looked after with. `url` is where workers reach this control plane."""

    database: Database
    executions: Executions
    auth: Auth
    provisioner: Provisioner
    url: str
    news: News = field(default_factory=News)


class _GivenUp(Exception):
    """No other worker is started; why."""


class Care:
    """For one worker."""

    def __init__(self, parts: Parts, one: Provision) -> None:
        self._parts = parts
        self._one = one
        self._execution: Execution | None = None
        self._began = time.monotonic()

    async def until_gone(self) -> None:
        """Return when nothing is left of it but what was to be kept, or when the rest is to be done anew.

        Raises:
            Refusal: something cannot be asked or stored now.
        """
        try:
            await self._until_over()
        except _GivenUp as given_up:
            assert self._one.execution_id is not None  # a warm one is just removed
            await self._parts.executions.fail(self._one.execution_id, FailureReason.WORKER_LOST, str(given_up))
            await self._is_over()
        if self._one.execution_id is None:
            await self._remove_warm()
        else:
            await self._remove()

    # --- while it is wanted

    async def _until_over(self) -> None:
        """Keep a worker there until the execution is over; a warm one only until it ends."""
        while not await self._is_over():
            ending = await self._one_worker()
            if ending is None or self._one.execution_id is None or await self._is_over_soon(ending):
                return
            attempt = self._one.attempt + 1
            if attempt >= STARTS:
                raise _GivenUp(f"no worker on demand lasted, of {STARTS} tries: the last one {ending.told}")
            await self._say(f"a worker on demand: the one before {ending.told}; another is started")
            log.warning("A worker on demand is started again", name=self._one.name, reason=ending.told)
            await provisions.note_attempt(self._parts.database, self._one.queue_id, attempt)
            with contextlib.suppress(Unavailable):  # the next start, or this one's end, says so
                await self._parts.provisioner.remove(self._one.name)
            await asyncio.sleep(wait_before(attempt, random.random()))

    async def _one_worker(self) -> Ending | None:
        """How it ended, or why it did not start; None when its execution is over.

        Raises:
            _GivenUp: it would end the same way again.
        """
        if (problem := await self._started()) is not None:
            return problem
        ending = await self._until_ended()
        if ending is not None and ending.status in _NO_USE and self._one.execution_id is not None:
            raise _GivenUp(f"the worker on demand {ending.told}")
        return ending

    async def _started(self) -> Ending | None:
        """See to it that it was started; why it was not.

        Raises:
            Unavailable: nobody can say now whether it was, and its execution has begun.
        """
        try:
            if self._one.name in await self._parts.provisioner.left():
                return None
        except Unavailable as error:
            if self._execution is not None and self._execution.status is not Status.PENDING:
                raise
            return Ending(words=_in_full(error))
        return await self._start()

    async def _start(self) -> Ending | None:
        """Start it; why it could not be."""
        await self._say(f"a worker on demand, which is being started ({self._parts.provisioner.kind})")
        key = await provisions.key_for(self._parts.database, self._one)
        try:
            await self._parts.provisioner.start(Order(self._one.name, self._parts.url, key, self._one.keep))
        except Unavailable as error:
            return Ending(words=_in_full(error))
        except Refusal as error:
            if self._one.execution_id is None:
                return Ending(words=_in_full(error))
            raise _GivenUp(f"no worker can be started on demand: {_in_full(error)}") from None
        self._began = time.monotonic()
        return None

    async def _until_ended(self) -> Ending | None:
        """How the worker ended; None when its execution is over."""
        look_at = 0.0
        while True:
            told = self._parts.news.next()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _LOOK_S
                if await self._is_over():
                    return None
                if await self._is_late():
                    return Ending(words=f"it did not register within {POLLS_WITHIN_S:.0f} s")
            if ending := await self._parts.provisioner.ended(self._one.name):
                return ending
            if await within(told, self._parts.provisioner.look_s):
                look_at = 0.0

    async def _is_over(self) -> bool:
        """Whether nobody needs it any more; both rows are read anew."""
        found = await provisions.find(self._parts.database, self._one.queue_id)
        if found is None:
            return True
        self._one, self._execution = found
        if self._one.execution_id is None:
            return False
        return self._execution is None or self._execution.status.is_terminal

    async def _is_over_soon(self, ending: Ending) -> bool:
        """Whether it ended because its execution did, of which we hear in a moment."""
        deadline = time.monotonic() + (_SAME_MOMENT_S if ending.status in (0, 1) else 0.0)
        told = self._parts.news.next()
        while not await self._is_over():
            if time.monotonic() >= deadline:
                return False
            await within(told, self._parts.provisioner.look_s)
            told = self._parts.news.next()
        return True

    async def _is_late(self) -> bool:
        if time.monotonic() - self._began < POLLS_WITHIN_S:
            return False
        waits = self._execution is None or self._execution.status is Status.PENDING
        return waits and not await provisions.has_worker(self._parts.database, self._one.queue_id)

    async def _say(self, reason: str) -> None:
        if self._one.execution_id is not None:
            await self._parts.executions.say_waiting(self._one.execution_id, reason)

    # --- the end

    async def _remove_warm(self) -> None:
        """Another one is made in its place, unless it was given an execution meanwhile: that is served then."""
        log.warning("A worker that was kept warm has ended", name=self._one.name)
        await self._parts.provisioner.remove(self._one.name)
        if await provisions.remove_warm(self._parts.database, self._parts.auth, self._one):
            await asyncio.sleep(_WARM_AGAIN_S)

    async def _remove(self) -> None:
        kept = False
        try:
            await self._until_left()
            kept = await self._kept()
        except Unavailable as error:  # then it is found and removed by the loop
            log.warning("What is left of a worker on demand waits", name=self._one.name, reason=error.detail)
        await provisions.remove(self._parts.database, self._parts.auth, self._one, kept=kept)
        log.info("A worker on demand was kept" if kept else "A worker on demand was removed", name=self._one.name)

    async def _until_left(self) -> None:
        deadline = time.monotonic() + LEAVES_WITHIN_S
        while await self._parts.provisioner.ended(self._one.name) is None:
            if time.monotonic() >= deadline:
                return
            await asyncio.sleep(self._parts.provisioner.look_s)

    async def _kept(self) -> bool:
        """Remove what is left of it, unless it is to be kept; whether it is."""
        run, provisioner = self._execution, self._parts.provisioner
        wanted = self._one.keep and run is not None and run.status is Status.FAILED
        if run is None or not wanted or self._one.name not in await provisioner.left():
            await provisioner.remove(self._one.name)
            return False
        kept = await provisioner.keep(self._one.name)
        patch = ExecutionPatch(execution_metadata={KEPT_WORKER: kept.model_dump()})
        await self._parts.executions.patch(run.id, patch)
        return True


def _in_full(error: Refusal) -> str:
    return error.detail + (f"; {error.fix}" if error.fix else "")
