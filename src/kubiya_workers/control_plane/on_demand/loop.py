"""Which workers on demand this control plane looks after. Several of one database share them, under one limit."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from kubiya_workers.contracts.errors import Refusal, Unavailable
from kubiya_workers.launchers.locks import FileLock
from kubiya_workers.observability import logs
from kubiya_workers.settings.on_demand import OnDemandSettings

from ..services import provisions
from ..store.provisions import Provision, State
from .care import Care, Parts
from .news import within

LOOK_S = 5.0
"""How often it is looked for what other control planes stored; what this one stores wakes it at once."""
SWEEP_S = 60.0
"""How often it is looked for workers that nobody wants."""
_AGAIN_S = 1.0

log = logs.get(__name__)


class OnDemand:
    """One a control plane. `owner` is its name, the same after each start; `users` the lock that makes it stay."""

    def __init__(self, parts: Parts, settings: OnDemandSettings, owner: str, users: Path) -> None:
        self._parts = parts
        self._settings = settings
        self._owner = owner
        self._users = users
        self._care: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._sweep_at = 0.0
        self._is_first = True

    async def start(self) -> None:
        self._loop = asyncio.create_task(self._for_ever(), name="on-demand")

    async def close(self) -> None:
        """Workers that outlive this process stay, and are looked after by the next of this name."""
        tasks = [*self._care.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._parts.provisioner.close()

    def wake(self) -> None:
        """An execution was stored that needs a worker of its own."""
        self._wanted.set()

    def told_of_an_end(self) -> None:
        """Some execution is over: whoever looks after a worker looks whether it was its own."""
        self._parts.news.tell()

    async def _for_ever(self) -> None:
        with _Needed(self._users) as needed:
            while True:
                self._wanted.clear()
                try:
                    if time.monotonic() >= self._sweep_at:
                        self._sweep_at = time.monotonic() + SWEEP_S
                        await self._remove_what_is_left()
                    needed.say(await self._look())
                except Refusal as error:
                    log.warning("Starting workers on demand waits", reason=error.detail)
                except Exception as error:  # the edge of this task: a defect may cost one look, never all of them
                    log.error("Starting workers on demand failed", error)
                await within(self._wanted, LOOK_S)

    async def _remove_what_is_left(self) -> None:
        """Remove what is there and nobody wants; at the start also what cannot have lived on since the last one."""
        provisioner = self._parts.provisioner
        known = {one.name: one for one in await provisions.of_owner(self._parts.database, self._owner)}
        try:
            left = set(await provisioner.left())
        except Unavailable as error:
            log.warning("What is left of workers on demand is looked for later", reason=error.detail)
            return
        begins, self._is_first = self._is_first, False
        for name in left:
            one = known.get(name)
            is_dead = begins and one is not None and one.state is State.SERVING and not provisioner.outlives
            if one is None or is_dead:
                log.info("What was left of a worker on demand is removed", name=name)
                await provisioner.remove(name)
        for one in known.values():
            if one.state is State.KEPT and one.kind == provisioner.kind and one.name not in left:
                await provisions.remove(self._parts.database, self._parts.auth, one)  # by a person

    async def _look(self) -> bool:
        """Take a share of what is wanted; whether an execution needs this control plane."""
        share = await provisions.share(
            self._parts.database,
            self._owner,
            self._parts.provisioner.kind,
            limit=self._settings.limit,
            warm=self._settings.warm,
            now=datetime.now(UTC),
        )
        for one in share.mine:
            if one.name not in self._care:
                task = asyncio.create_task(self._look_after(one), name=one.name)
                self._care[one.name] = task
                task.add_done_callback(self._done(one.name))
        for one in share.waiting:
            if one.execution_id is not None:
                reason = provisions.in_line(self._settings.limit)
                await self._parts.executions.say_waiting(one.execution_id, reason)
        return any(one.execution_id is not None for one in (*share.mine, *share.waiting))

    def _done(self, name: str) -> Callable[[asyncio.Task[None]], None]:
        def done(_: asyncio.Task[None]) -> None:
            self._care.pop(name, None)
            self.wake()

        return done

    async def _look_after(self, one: Provision) -> None:
        try:
            await Care(self._parts, one).until_gone()
        except Refusal as error:
            log.warning("Looking after a worker on demand waits", name=one.name, reason=error.detail)
            await asyncio.sleep(_AGAIN_S)
        except Exception as error:  # the edge of this task: the next look begins it anew
            log.error("Looking after a worker on demand failed", error, name=one.name)
            await asyncio.sleep(_AGAIN_S)


class _Needed:
    """Makes an on-demand control plane stay while executions wait for its workers, or have them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: FileLock | None = None

    def __enter__(self) -> "_Needed":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.say(False)

    def say(self, needed: bool) -> None:
        if needed and self._held is None:
            lock = FileLock.at(self._path)
            if lock.together():
                self._held = lock
            else:
                lock.close()  # the end has begun: what is wanted is stored, and served by the next start
        elif not needed and self._held is not None:
            self._held.close()
            self._held = None
