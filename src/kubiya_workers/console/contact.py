"""How the control plane is: asked again and again, remembered for a chart."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from pydantic import TypeAdapter

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.console import Connection, ConnectionState, Contact
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.health import Health
from kubiya_workers.launchers.spec import Endpoint
from kubiya_workers.observability import logs

from .target import Target

log = logs.get(__name__)

EVERY_S = 1.5
LIMIT_S = 2.0
"""Both together: how late it is known that the control plane is away, even one that hangs. Pages promise 5 s."""
_SAMPLES = 200

_LIST = TypeAdapter(list[object])


class Plane(Protocol):
    """The control plane that is shown. `authentication` says where its key comes from, in words; `is_own`, whether it
    is the one of this very process, whose key is beyond doubt."""

    @property
    def is_own(self) -> bool: ...

    @property
    def url(self) -> str: ...

    @property
    def embedded(self) -> bool: ...

    @property
    def authentication(self) -> str: ...

    async def client(self) -> ControlPlaneClient:
        """Raises a Refusal when there is none to be asked."""
        ...


class ControlPlane:
    """A client for wherever the control plane is now; what still asks at an address that it had may end that."""

    is_own = False

    def __init__(self, target: Target) -> None:
        self.target = target
        self._endpoint: Endpoint | None = None
        self._clients: list[ControlPlaneClient] = []

    @property
    def url(self) -> str:
        """Where it is now; where it was told to be while it does not run."""
        try:
            return self.target.now().url
        except Refusal:
            return self._endpoint.url if self._endpoint else self.target.url

    @property
    def embedded(self) -> bool:
        return self.target.embedded

    @property
    def authentication(self) -> str:
        if self.target.embedded:
            return f"the key of this machine's user, in {self.target.paths.credentials}"
        return "the key that the workers of this machine were started with (KUBIYA_API_KEY or a context)"

    async def client(self) -> ControlPlaneClient:
        """Raises Unavailable when the embedded one does not run."""
        endpoint = self.target.now()
        if endpoint != self._endpoint:
            self._clients.append(ControlPlaneClient(endpoint.url, endpoint.key))
            self._endpoint = endpoint
        return self._clients[-1]

    @asynccontextmanager
    async def reached(self) -> AsyncGenerator[ControlPlaneClient]:
        yield await self.client()

    async def close(self) -> None:
        for client in self._clients:
            await client.connection.close()


class Contacts:
    """The contacts so far. `on_change` is called when it came, went, or was asked again."""

    def __init__(self, plane: Plane, *, on_change: Callable[[], None]) -> None:
        self._plane = plane
        self._on_change = on_change
        self._samples: deque[Contact] = deque(maxlen=_SAMPLES)
        self._health: Health | None = None
        self._was_there = False
        self._soon = asyncio.Event()
        self.connection = Connection(
            url=plane.url,
            state=ConnectionState.CONNECTING,
            since=datetime.now(UTC),
            embedded=plane.embedded,
            authentication=plane.authentication,
        )

    async def forever(self, *, wanted: Callable[[], bool] = lambda: True) -> None:
        while True:
            if wanted():
                await self.ask()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), EVERY_S)
            self._soon.clear()

    def ask_soon(self) -> None:
        """Somebody begins to look."""
        self._soon.set()

    async def ask(self) -> None:
        """Ask it once, and say how it went."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_S):
                client = await self._plane.client()
                self._health = await client.health.get()
                requests = 1
                if not self._plane.is_own:
                    # Health needs no key: a list tells whether ours is good.
                    await client.connection.get("/environments", _LIST, {"limit": 1})
                    requests += 1
        except (Refusal, TimeoutError) as error:
            reason = error.detail if isinstance(error, Refusal) else f"no answer within {LIMIT_S:g} s"
            self._note(Contact(at=datetime.now(UTC), error=reason))
        else:
            took = round((time.monotonic() - began) * 1000 / requests, 2)
            self._note(Contact(at=datetime.now(UTC), latency_ms=took))

    def _note(self, contact: Contact) -> None:
        self._samples.append(contact)
        old, there = self.connection, contact.error is None
        state = ConnectionState.CONNECTED if there else ConnectionState.LOST
        if state is not old.state:
            if there:
                log.info("Control plane answers", url=self._plane.url)
            else:
                log.warning("Control plane does not answer", reason=contact.error)
        back = there and self._was_there and old.state is ConnectionState.LOST
        self._was_there = self._was_there or there
        self.connection = old.model_copy(
            update={
                "url": self._plane.url,
                "state": state,
                "since": contact.at if state is not old.state else old.since,
                "version": self._health.version if self._health else None,
                "last_contact": contact.at if there else old.last_contact,
                "reconnects": old.reconnects + back,
                "samples": tuple(self._samples),
                "checks": self._checks() if there else {},
            }
        )
        self._on_change()

    def _checks(self) -> dict[str, str | None]:
        checks = self._health.checks if self._health else {}
        return {name: None if check.ok else check.detail or "failed" for name, check in checks.items()}
