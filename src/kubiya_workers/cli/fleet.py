"""The web interface of a whole fleet: the console's pages before the control plane's own API, in its process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse

from kubiya_workers.console import fleet
from kubiya_workers.console.door import Names
from kubiya_workers.console.keyed import KeySessions
from kubiya_workers.console.live import LiveView
from kubiya_workers.console.pages import Pages
from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.control_plane.deps import ControlPlane
from kubiya_workers.control_plane.services.shared_secret import shared_secret
from kubiya_workers.control_plane.services.signin import SECRET, Keys
from kubiya_workers.observability import logs

log = logs.get(__name__)

_AGAIN_S = 5.0
_LOOKER = Caller(key_id=KeyId("web interface"), name="web interface", scope=Scope.READ)
"""As whom the live view asks: what it tells, every key that opens a page may see."""


@asynccontextmanager
async def web_interface(
    app: FastAPI, control_plane: ControlPlane, url: str, names: Names
) -> AsyncGenerator[Callable[[], None]]:
    """Served below `/ui` of the control plane's application; what is given ends all that follows it."""
    if not control_plane.settings.web.on:
        yield lambda: None
        return
    auth, database = control_plane.auth, control_plane.database
    async with AsyncExitStack() as stack:
        plane = fleet.OwnPlane(app, url, stack.enter_context(auth.lent(_LOOKER)))
        stack.push_async_callback(plane.close)
        live = LiveView(fleet.Fleet(), plane, asyncio.Event())
        sessions = KeySessions(await shared_secret(database, SECRET), Keys(database, auth))
        parts = fleet.FleetParts(app, url, names, sessions, auth.lent, live, Pages(base=fleet.BASE, scope="fleet"))
        app.mount(fleet.BASE, fleet.build(parts))
        app.add_route("/", _to_pages)
        app.add_route(fleet.BASE, _to_pages)
        for work in (lambda: live.contacts.forever(wanted=live.is_watched), live.forever, live.ask_forever):
            stack.callback(asyncio.create_task(_for_ever(work)).cancel)
        yield live.close


async def _to_pages(_: Request) -> RedirectResponse:
    return RedirectResponse(f"{fleet.BASE}/", 303)


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Do it, again where it fails: pages that stand still would tell what is not so any more."""
    while True:
        try:
            await work()
        except Exception as error:  # the edge of a task: the control plane goes on
            log.error("Live view failed; it is begun anew", error)
            await asyncio.sleep(_AGAIN_S)
