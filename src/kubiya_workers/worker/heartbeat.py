"""The sign of life, from a thread of its own: a busy event loop must not silence a worker, nor a dead one speak.

The thread has an event loop and a connection of its own, and shares with the worker only plain numbers. It does not
beat for a worker that is deaf: liveness is the last good poll and the loop's lag, not the thread's own pulse.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import Conflict, Forbidden, NotFound, Refusal, Unauthorized
from kubiya_workers.contracts.workers import Heartbeat, Registered, Wish
from kubiya_workers.observability import logs

from .contact import Contact
from .metrics import Metrics
from .standing import Standing

log = logs.get(__name__)

LISTEN_S = 20.0
"""How long the control plane is asked to wait for something to be asked of this worker."""
_BETWEEN_S = 0.1

_GONE = (Unauthorized, Forbidden, NotFound, Conflict)
"""Answers that mean: the control plane counts this worker as lost or gone."""


class HeartbeatThread:
    """Beats every `interval` seconds until `stop`.

    `on_gone` is called, on that thread, when we were given up; `on_wish` with what is asked of this worker; it says
    whether that is news.
    """

    def __init__(
        self,
        registered: Registered,
        contact: Contact,
        standing: Standing,
        *,
        describe: Callable[[], Heartbeat],
        on_gone: Callable[[str], None],
        on_wish: Callable[[Wish], bool],
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._registered = registered
        self._contact = contact
        self._standing = standing
        self._describe = describe
        self._on_gone = on_gone
        self._on_wish = on_wish
        self._stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat_now(self) -> None:
        """Something has changed that the control plane should know before the next beat is due."""
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        asyncio.run(self._beat_for_ever())

    async def _beat_for_ever(self) -> None:
        async with ControlPlaneClient(self._registered.control_plane_url, self._registered.worker_token) as client:
            while not self._stopped:
                self._wake.clear()
                await self._beat(client)
                if not self._stopped:
                    await self._until_next(client)

    async def _until_next(self, client: ControlPlaneClient) -> None:
        """Wait until the next beat is due, or wanted, and listen meanwhile for what is asked of this worker."""
        due = asyncio.ensure_future(asyncio.to_thread(self._wake.wait, self._contact.heartbeat_interval))
        listening = asyncio.create_task(self._listen(client), name="wishes")
        await due
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, client: ControlPlaneClient) -> None:
        """Until something is asked, which the next beat then says was heard; what goes wrong here, that will tell."""
        with contextlib.suppress(Refusal):
            while True:
                wish = await client.workers.wish(self._registered.worker_id, wait=LISTEN_S)
                if wish is not None:
                    self._heard(wish)
                    return
                await asyncio.sleep(_BETWEEN_S)  # one that is stopping answers at once

    def _heard(self, wish: Wish) -> None:
        if self._on_wish(wish):
            self.beat_now()

    async def _beat(self, client: ControlPlaneClient) -> None:
        if self._contact.is_deaf(time.monotonic()):
            log.error("Heartbeat withheld: this worker does not poll")
            self._metrics.heartbeat("withheld")
            return
        began = time.monotonic()
        try:
            wish = await client.workers.heartbeat(self._registered.worker_id, self._describe())
        except _GONE as error:
            self._failed(began)
            self._on_gone(error.detail)
            self._stopped = True
        except Refusal as error:
            self._failed(began)
            log.warning("Heartbeat failed", reason=error.detail)
        else:
            log.debug("Heartbeat taken", milliseconds=round((time.monotonic() - began) * 1000))
            self._metrics.heartbeat("ok", time.monotonic() - began)
            self._standing.beat_taken()
            self._contact.control_plane = time.monotonic()
            if wish is not None:
                self._heard(wish)

    def _failed(self, began: float) -> None:
        self._metrics.heartbeat("failed", time.monotonic() - began)
        self._standing.heartbeats_failed += 1
